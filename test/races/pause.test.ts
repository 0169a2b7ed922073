/** A pause in every gap of a sweep: nothing that starts after it writes. */
import { describe, expect, it, vi } from "vitest";
import type { SweepReport } from "../../src/rules/report.ts";
import { createDatabase } from "../services/postgres/database.ts";
import { epochRequest, noCheck, openStores } from "../support/stands/stores.ts";
import { createWorld } from "../support/world/world.ts";
import { SWEEPS } from "./fleets.ts";
import { atPoint, type Point } from "./interleavings.ts";
import { deleted, journal, seedSampleRuns, wholeRow } from "./sample-runs.ts";

const REQUEST = { forMs: 3_600_000, reason: "moving the API", by: "ann@host" };
const NOW = { WATCHDOG_CLEANUP_DELAY: "0s" };

describe.each(SWEEPS)("a pause in the middle of a sweep$as", ({ divided, of }) => {
  const points: readonly Point[] = [
    "between the page and the re-read",
    "between the re-read and the question",
    "between the answer and the write",
  ];

  it.each(points)("is followed by no write when it comes %s", async (point) => {
    await using world = await createWorld();
    if (of.shard !== undefined) await world.sweep({ env: divided, shard: 0 });
    const { runs } = await seedSampleRuns(world, of.shard);
    const before = await Promise.all(runs.map(({ id }) => wholeRow(world, id)));
    let pausing: Promise<unknown> | null = null;
    const pauseOnce = async () => {
      pausing ??= pause(world);
      await pausing;
    };
    const report = await world.sweep({
      ...of,
      env: { ...NOW, ...divided },
      replace: atPoint(point, pauseOnce),
    });
    expect(report).toMatchObject({ status: "paused", exitCode: 75 });
    expect(await journal(world)).toEqual([]);
    expect(await Promise.all(runs.map(({ id }) => wholeRow(world, id)))).toEqual(before);
    expect(await world.database.sql`SELECT FROM watchdog.suspicions`).toHaveLength(0);
    expect(deleted(world)).toEqual([]);
  });

  it("leaves everything to the sweep after it", async () => {
    await using world = await createWorld();
    if (of.shard !== undefined) await world.sweep({ env: divided, shard: 0 });
    const { runs } = await seedSampleRuns(world, of.shard);
    await pause(world);
    await expect(world.sweep({ ...of, env: divided })).rejects.toThrow("nothing was swept: paused");
    expect(world.host.requests).toEqual([]);
    await using stores = openStores(world.database.connection);
    await stores.fleet.resume("ann@host");
    const report: SweepReport = await world.sweep({ ...of, env: divided });
    expect(report.counts.stale).toBe(runs.length);
  });
});

describe("a pause between the tick and the epoch", () => {
  it("refuses the epoch that waits for it to commit", async () => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection);
    const { sql } = database;
    let begun: ReturnType<typeof stores.leadership.begin> | null = null;
    await sql.begin(async (tx) => {
      await tx`
        UPDATE watchdog.leadership SET epoch = epoch + 1, pause_reason = 'later', paused_by = 'ann',
          paused_until = now() + interval '1 hour'`;
      begun = stores.leadership.begin(epochRequest(), noCheck);
      await vi.waitFor(async () => {
        const waiting = await sql`
          SELECT FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock'`;
        expect(waiting).toHaveLength(1);
      });
    });
    expect(await begun).toMatchObject({ kind: "paused", pause: { by: "ann", reason: "later" } });
    const [row] = await sql`SELECT epoch::int, holder FROM watchdog.leadership`;
    expect(row).toEqual({ epoch: 1, holder: null });
  });

  it("is a pause with an end even where a hand wrote one without", async () => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection);
    await database.sql`UPDATE watchdog.leadership SET paused_until = 'infinity'`;
    expect(await stores.leadership.begin(epochRequest(), noCheck)).toMatchObject({
      kind: "paused",
      pause: { by: "somebody", reason: "no reason was given", until: expect.stringMatching(/^2/) },
    });
    await database.sql`UPDATE watchdog.leadership SET paused_until = '-infinity'`;
    expect(await stores.leadership.begin(epochRequest(), noCheck)).toMatchObject({ kind: "begun" });
  });
});

async function pause({ database }: { readonly database: Parameters<typeof open>[0] }) {
  await using stores = open(database);
  return await stores.fleet.pause(REQUEST);
}

function open({ connection }: { readonly connection: Parameters<typeof openStores>[0] }) {
  return openStores(connection);
}

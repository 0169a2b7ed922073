import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createWorld, type World } from "../../support/world/world.ts";

/** What the host's own watchdog takes up at each of its scans. */
async function hostFinds({ database: { sql } }: World): Promise<number> {
  const rows = await sql`
    SELECT id FROM automation_runs
    WHERE status = 'RUNNING' AND timeout_at IS NOT NULL AND timeout_at < now()`;
  return rows.length;
}

/** As if so much time had passed since everything that is stored. */
async function pass({ database: { sql } }: World, seconds: number): Promise<void> {
  const ago = sql`${seconds}::float8 * interval '1 s'`;
  await sql`UPDATE automation_runs SET timeout_at = timeout_at - ${ago}`;
  await sql`
    UPDATE watchdog.suspicions SET look_at = look_at - ${ago}, shield_at = shield_at - ${ago},
      presumed_last_at = presumed_last_at - ${ago}, noted_at = noted_at - ${ago}`;
}

let world: World;

beforeEach(async () => {
  world = await createWorld();
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

describe("a platform whose own watchdog goes on", () => {
  it("finds no run that was looked at, from the first look to the verdict, though ticks come late", async () => {
    const runs = 40;
    for (let count = 0; count < runs; count += 1) await world.seed({}, { status: "MISSING" });
    expect(await hostFinds(world)).toBe(runs);
    for (let sweep = 0; sweep < 6; sweep += 1) {
      const { counts } = await world.sweep({ env: LIMITS });
      expect(counts).toMatchObject(sweep === 0 ? { suspected: runs } : { held: runs });
      expect(await hostFinds(world)).toBe(0);
      // The next tick fails, and the one after that is late.
      await pass(world, 170);
      expect(await hostFinds(world)).toBe(0);
    }
  });

  it("gets a run back when it moves the deadline itself", async () => {
    const run = await world.seed({}, { status: "MISSING" });
    await world.sweep({ env: LIMITS });
    await world.database.sql`UPDATE automation_runs SET timeout_at = now() + interval '60 s'`;
    await pass(world, 50);
    expect((await world.sweep({ env: LIMITS })).counts).toMatchObject({ stale: 0 });
    await pass(world, 15);
    expect(await hostFinds(world)).toBe(1);
    const { runs } = await world.sweep({ env: LIMITS });
    expect(runs).toMatchObject([{ runId: run.id }]);
  });

  it("is told on when it ends what is suspected here", async () => {
    const run = await world.seed({}, { status: "MISSING" });
    await world.sweep({ env: LIMITS });
    await world.database.sql`
      UPDATE automation_runs SET status = 'FAILED', completed_at = now(),
        error_detail = 'Timed out: Sandbox not available' WHERE id = ${run.id}`;
    const seen: number[] = [];
    await world.sweep({
      env: LIMITS,
      replace: () => ({ watch: { onEndedElsewhere: (count) => seen.push(count) } }),
    });
    expect(seen).toEqual([1]);
  });
});

const LIMITS = { WATCHDOG_CONFIRMATIONS: "2", WATCHDOG_GUARD_MIN: "5" };

import { describe, expect, it } from "vitest";
import { html } from "../../fake-host/fake-host-model.ts";
import type { SeededRun } from "../../fake-host/seed.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const FIRST = "2026-02-03T04:05:06.789012+00:00";
const FINGERPRINT = "sandbox_api:get_sandbox:server_error:503";

interface Stored {
  readonly fingerprint: string;
  readonly first_seen_at: string;
  readonly last_seen_at: string;
  readonly count: number;
}

describe("status_detail over several sweeps", () => {
  it("keeps first_seen_at of a failure that repeats, and counts on", async () => {
    await using world = await createWorld();
    const run = await world.seed();
    world.host.intercept(({ kind }) => (kind === "lookup" ? html(503, "Trouble") : undefined));
    const first = await sweepAgain(world, run);
    const second = await sweepAgain(world, run);
    const third = await sweepAgain(world, run);
    expect(first).toMatchObject({ count: 1, last_seen_at: first?.first_seen_at });
    expect(second).toEqual({ ...first, count: 2, last_seen_at: second?.last_seen_at });
    expect(third).toEqual({ ...first, count: 3, last_seen_at: third?.last_seen_at });
    expect(Object.keys(third ?? {})).toEqual(Object.keys(first ?? {}));
    const sights = [first, second, third].map((stored) => Date.parse(stored?.last_seen_at ?? ""));
    expect(sights).toEqual(sights.toSorted((a, b) => a - b));
    expect(new Set([first, second, third].map((stored) => stored?.last_seen_at)).size).toBe(3);
  });

  it("starts anew with a failure of another status, and again with the one before", async () => {
    await using world = await createWorld();
    const run = await world.seed();
    let status = 503;
    world.host.intercept(({ kind }) => (kind === "lookup" ? html(status, "Trouble") : undefined));
    const first = await sweepAgain(world, run);
    status = 429;
    const second = await sweepAgain(world, run);
    expect(second).toMatchObject({
      fingerprint: "sandbox_api:get_sandbox:rate_limited:429",
      count: 1,
      first_seen_at: second?.last_seen_at,
    });
    expect(second?.first_seen_at).not.toBe(first?.first_seen_at);
    status = 503;
    expect(await sweepAgain(world, run)).toMatchObject({ fingerprint: FINGERPRINT, count: 1 });
  });

  it("is wiped to JSON null by a sign of life, so that the next failure starts anew", async () => {
    await using world = await createWorld();
    const run = await world.seed();
    let status = 503;
    world.host.intercept(({ kind }) =>
      kind === "lookup" && status !== 200 ? html(status, "Trouble") : undefined,
    );
    await sweepAgain(world, run);
    status = 200;
    expect(await sweepAgain(world, run)).toBeNull();
    expect((await world.row(run.id)).status_detail).toBe("null");
    status = 503;
    expect(await sweepAgain(world, run)).toMatchObject({ fingerprint: FINGERPRINT, count: 1 });
  });

  it("is wiped to JSON null by a success", async () => {
    await using world = await createWorld();
    const run = await world.seed();
    const stop = world.host.intercept(({ kind }) =>
      kind === "lookup" ? html(503, "Trouble") : undefined,
    );
    await sweepAgain(world, run);
    stop();
    const outputs = [{ commandId: run.bashCommandId ?? "", exitCode: 0 }];
    world.host.update(run.sandboxId ?? "", { outputs });
    expect(await sweepAgain(world, run)).toBeNull();
    expect(await world.row(run.id)).toMatchObject({ status: "COMPLETED", status_detail: "null" });
  });
});

interface PreviousCase {
  readonly name: string;
  readonly previous: unknown;
  readonly count: number;
  readonly keepsFirst: boolean;
}

const previousCases: readonly PreviousCase[] = [
  {
    name: "the host's own entry of the same fingerprint",
    previous: { fingerprint: FINGERPRINT, first_seen_at: FIRST, last_seen_at: FIRST, count: 41 },
    count: 42,
    keepsFirst: true,
  },
  {
    name: "an entry without a count",
    previous: { fingerprint: FINGERPRINT, first_seen_at: FIRST },
    count: 1,
    keepsFirst: true,
  },
  {
    name: "an entry with a count that is text",
    previous: { fingerprint: FINGERPRINT, first_seen_at: FIRST, count: "2" },
    count: 1,
    keepsFirst: true,
  },
  {
    name: "an entry without first_seen_at",
    previous: { fingerprint: FINGERPRINT, count: 2 },
    count: 3,
    keepsFirst: false,
  },
  {
    name: "an entry of another fingerprint",
    previous: { fingerprint: "sandbox_api:get_sandbox:server_error:502", first_seen_at: FIRST },
    count: 1,
    keepsFirst: false,
  },
  {
    name: "an entry with text that only json can hold",
    previous: { fingerprint: FINGERPRINT, first_seen_at: FIRST, count: 1, detail: "\0\ud800" },
    count: 2,
    keepsFirst: true,
  },
  { name: "JSON null", previous: null, count: 1, keepsFirst: false },
  { name: "SQL NULL", previous: undefined, count: 1, keepsFirst: false },
  { name: "a list", previous: [{ fingerprint: FINGERPRINT }], count: 1, keepsFirst: false },
  { name: "a text", previous: FINGERPRINT, count: 1, keepsFirst: false },
];

describe("a failure after what somebody else stored", () => {
  for (const { name, previous, count, keepsFirst } of previousCases) {
    it(`${keepsFirst ? "keeps" : "sets"} first_seen_at and counts ${count} after ${name}`, async () => {
      await using world = await createWorld();
      const run = await world.seed({ statusDetail: previous });
      world.host.intercept(({ kind }) => (kind === "lookup" ? html(503, "Trouble") : undefined));
      const stored = await sweepAgain(world, run);
      expect(stored).toMatchObject({ fingerprint: FINGERPRINT, count });
      expect(stored?.first_seen_at).toBe(keepsFirst ? FIRST : stored?.last_seen_at);
      expect(stored?.last_seen_at).not.toBe(FIRST);
    });
  }
});

/** Makes the run stale again and sweeps once. */
async function sweepAgain(world: World, { id }: SeededRun): Promise<Stored | null> {
  await world.database.sql`
    UPDATE automation_runs SET timeout_at = now() - interval '1 s' WHERE id = ${id}`;
  await world.sweep();
  return JSON.parse((await world.row(id)).status_detail ?? "null");
}

import { describe, expect, it } from "vitest";
import type { Runtime } from "../../../../src/app/runtime.ts";
import { dryRunSweep } from "../../../../src/watchdog/lead/dry-run.ts";
import type { SeededRun } from "../../../fake-host/seed.ts";
import { atPoint } from "../../../races/interleavings.ts";
import {
  HAS_PGBOUNCER,
  lookIntoSession,
  startPgBouncer,
} from "../../../services/pgbouncer/pgbouncer.ts";
import {
  createWorld,
  exitedWith,
  leadOnce,
  randomCommandId,
} from "../../../support/world/world.ts";

const PROOFS = 6;
const ALIVE = 3;
const POOLERS = ["auto", "on"] as const;

describe.runIf(HAS_PGBOUNCER)("a sweep behind PgBouncer with a single server session", () => {
  it.each(POOLERS)("ends, defers and cleans up as ever: pooler %s", async (pooler) => {
    await using world = await setup(pooler);
    const report = await world.sweep({ env: world.behind });
    expect(report).toMatchObject({
      status: "ok",
      counts: { completed: 3, failed: 3, deferred: 3, errors: 0, busy: 0, lostRace: 0 },
      cleanups: { done: PROOFS, pending: 0 },
    });
    await world.expectOneVerdictEach();
  });

  it.each(POOLERS)("works with a pool of one, lease and all: pooler %s", async (pooler) => {
    await using world = await setup(pooler);
    const report = await world.sweep({ env: { ...world.behind, WATCHDOG_DB_POOL: "1" } });
    expect(report).toMatchObject({ status: "ok", cleanups: { done: PROOFS, pending: 0 } });
    await world.expectOneVerdictEach();
  });

  it("shares the session with another worker's, statement by statement", async () => {
    await using world = await setup("on");
    const { pid } = await world.session();
    await using first = world.open(world.behind);
    await using second = world.open(world.behind);
    const refusals: string[] = [];
    const dryRuns: Promise<string>[] = [];
    const result = await leadOnce(first, {
      replace: atPoint("between the answer and the write", async () => {
        refusals.push((await leadOnce(second)).kind);
        // This one goes on beside the write.
        dryRuns.push(dryRun(second));
      }),
    });
    expect(result).toMatchObject({ kind: "swept", report: { status: "ok" } });
    expect(refusals).toEqual(world.runs.map(() => "lease-held"));
    expect(await Promise.all(dryRuns)).toEqual(world.runs.map(() => "ok"));
    await world.expectOneVerdictEach();
    expect(await world.session()).toEqual({ pid, leftBehind: [] });
  });
});

async function dryRun({ deps, options }: Runtime): Promise<string> {
  const request = {
    ...({ trigger: "once", intervalMs: 60_000, runIds: null, limit: null } as const),
    overrideReason: null,
  };
  const { signal } = new AbortController();
  const { report } = await dryRunSweep({ ...deps, watch: {} }, options, request, signal);
  return report.status;
}

async function setup(pooler: (typeof POOLERS)[number]) {
  await using resources = new AsyncDisposableStack();
  const world = resources.use(await createWorld());
  const door = resources.use(await startPgBouncer({ default_pool_size: "1" }));
  const runs: SeededRun[] = [];
  for (let index = 0; index < PROOFS; index += 1) {
    const bashCommandId = randomCommandId();
    const outputs = [exitedWith(index % 2, { bashCommandId })];
    runs.push(await world.seed({ bashCommandId }, { outputs }));
  }
  for (let index = 0; index < ALIVE; index += 1) runs.push(await world.seed());
  const opened = resources.move();
  return {
    ...world,
    runs,
    behind: { DATABASE_URL: door.url(world.database.url), WATCHDOG_DB_POOLER: pooler },
    session: () => lookIntoSession(door, world.database),
    async expectOneVerdictEach(): Promise<void> {
      const verdicts = await world.database.sql`SELECT run_id FROM watchdog.verdicts`;
      const ended = runs.slice(0, PROOFS).map(({ id }) => id);
      expect(verdicts.map((row) => row["run_id"]).sort()).toEqual(ended.sort());
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

import { describe, expect, it, vi } from "vitest";
import type { SeededRun } from "../fake-host/seed.ts";
import { pauseCommits } from "../races/paused-commit.ts";
import { journal } from "../races/sample-runs.ts";
import { startTcpProxy, type TcpProxy } from "../services/tcp-proxy.ts";
import { askHealth, untilNotReady, untilReady } from "../support/process/ask-health.ts";
import { healthOf, LEASE_STORES, PATIENCE } from "../support/process/contending-workers.ts";
import { parseDocument } from "../support/process/report-document.ts";
import { runOnce, startWorker, type WorkerProcess } from "../support/process/worker-process.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld, type World } from "../support/world/world.ts";

/** A tick comes every second here: away for a minute means that whole ticks find nobody. */
const QUICK = {
  WATCHDOG_SCHEDULE: "* * * * * *",
  WATCHDOG_LEASE_TTL: "5s",
  WATCHDOG_LEASE_RENEW: "1s",
  WATCHDOG_LEASE_MARGIN: "500ms",
  WATCHDOG_DEFER: "1s",
  WATCHDOG_CONFIRMATIONS: "2",
  WATCHDOG_GUARD_MIN: "5",
  WATCHDOG_GUARD_PER_HOUR: "60",
  LOG_LEVEL: "debug",
};
const ONCE = ["once", "--output", "json"];
const WITHIN = { timeout: 60_000, interval: 200 };
const EACH = 2;

describe.each(LEASE_STORES)("run while Postgres is away ($name lease)", ({ open }) => {
  it("goes on by itself, ends nobody wrongly and everybody once", PATIENCE, async () => {
    await using world = await createWorld();
    await using store = await open(world);
    await using proxy = await proxyTo(world);
    const sample = await seedSampleRuns(world);
    const goAway = await inTheMiddle(world, proxy, sample);
    const env = { ...world.env, ...QUICK, ...store.env };
    await using worker = await startWorker({ ...env, DATABASE_URL: proxy.url(world.database.url) });
    await goAway();
    await untilNotReady(worker, /ECONNREFUSED/);
    for (let tick = 0; tick < 3; tick += 1) await untilTickFails(worker);
    expect((await askHealth(worker, "/livez")).status).toBe(200);
    await expectNobodyWronged(world, sample);

    await proxy.heal();
    await untilReady(worker);
    await vi.waitFor(() => expectAllEndedOnce(world, sample), WITHIN);
    await vi.waitFor(async () => {
      expect(await healthOf(worker)).toMatchObject({ status: "ok", reasons: [] });
    }, WITHIN);
  });
});

describe("once while Postgres is away", () => {
  it(
    "exits with 1 when it goes in the middle, with 69 until it is back, and with 0 then",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using proxy = await proxyTo(world);
      const sample = await seedSampleRuns(world);
      const goAway = await inTheMiddle(world, proxy, sample);
      const env = { ...world.env, ...QUICK, DATABASE_URL: proxy.url(world.database.url) };
      await using worker = await startWorker(env, ONCE);
      await goAway();
      expect(await worker.exited, worker.stderr()).toEqual({ code: 1, signal: null });
      expect(parseDocument(worker.stdout())).toMatchObject({ status: "error", exitCode: 1 });
      const during = await runOnce(env, ONCE);
      expect(during).toMatchObject({ code: 69 });
      expect(parseDocument(during.stdout)).toMatchObject({ status: "unavailable", exitCode: 69 });
      await expectNobodyWronged(world, sample);

      await proxy.heal();
      // The lease of the one that could not give it back runs out.
      expect(await runOnce(env, [...ONCE, "--wait", "1m"])).toMatchObject({ code: 0 });
      // Presumed dead at the first observation, ended at the second.
      await vi.waitFor(async () => {
        expect(await runOnce(env, [...ONCE, "--run", sample.dead.id])).toMatchObject({ code: 0 });
        await expectAllEndedOnce(world, sample);
      }, WITHIN);
    },
  );
});

interface SampleRuns {
  /** Judged before Postgres goes away. */
  readonly before: readonly SeededRun[];
  /** Whose verdicts commit, and nobody is told. */
  readonly unacknowledged: readonly SeededRun[];
  /** Whose answers come when nothing can be written. */
  readonly after: readonly SeededRun[];
  readonly live: SeededRun;
  readonly dead: SeededRun;
}

async function seedSampleRuns(world: World): Promise<SampleRuns> {
  const exited = async () => [await seedExited(world, 0), await seedExited(world, 1)];
  return {
    before: await exited(),
    unacknowledged: await exited(),
    after: await exited(),
    live: await world.seed(),
    dead: await world.seed({}, { status: "PAUSED" }),
  };
}

function proxyTo({ database }: World): Promise<TcpProxy> {
  const { hostname, port } = new URL(database.url);
  return startTcpProxy({ host: hostname, port: Number(port || 5432) });
}

/** To be called before the sweep begins; the returned function takes Postgres away in the middle of it. */
async function inTheMiddle(world: World, proxy: TcpProxy, sample: SampleRuns) {
  const gates = new Map<string | null, Promise<undefined>>();
  const [middle, late] = [sample.unacknowledged, sample.after].map((runs) => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    for (const { sandboxId } of runs) gates.set(sandboxId, promise);
    return () => resolve(undefined);
  });
  world.host.intercept(({ kind, sandboxId }) =>
    kind === "lookup" ? gates.get(sandboxId) : undefined,
  );
  return async () => {
    await vi.waitFor(async () => expect(await journal(world)).toHaveLength(EACH), WITHIN);
    await using commits = await pauseCommits(world.database);
    middle?.();
    await commits.waiting(EACH);
    await proxy.refuse();
    await commits.release();
    await vi.waitFor(async () => expect(await journal(world)).toHaveLength(2 * EACH), WITHIN);
    late?.();
  };
}

async function untilTickFails(worker: WorkerProcess): Promise<void> {
  await worker.waitForLog("cannot sweep", { since: worker.logs.length });
}

async function expectNobodyWronged(world: World, { after, live, dead }: SampleRuns): Promise<void> {
  for (const { id, sandboxId } of [...after, live, dead]) {
    expect(await world.row(id)).toMatchObject({ status: "RUNNING", completed_at: null });
    expect(world.host.sandbox(sandboxId ?? ""), "a sandbox without a verdict").toBeDefined();
  }
}

async function expectAllEndedOnce(world: World, sample: SampleRuns): Promise<void> {
  const { sql } = world.database;
  const proven = [...sample.before, ...sample.unacknowledged, ...sample.after];
  // Deletions whose outcome could not be recorded are due only later.
  await sql`
    UPDATE watchdog.verdicts SET cleanup_next_at = now()
    WHERE cleanup_state = 'pending' AND basis = 'proof'`;
  for (const [index, { id, sandboxId }] of proven.entries()) {
    const [status, error] = index % 2 === 0 ? ["COMPLETED", null] : ["FAILED", "exit_code=1"];
    expect(await world.row(id)).toMatchObject({ status, error_detail: error });
    expect(world.host.sandbox(sandboxId ?? ""), "a sandbox was left over").toBeUndefined();
  }
  expect((await world.row(sample.dead.id)).error_detail).toBe("Timed out: Sandbox not available");
  expect((await world.row(sample.live.id)).status).toBe("RUNNING");
  expect(world.host.sandbox(sample.live.sandboxId ?? "")).toBeDefined();
  const verdicts = await journal(world);
  const ended = [...proven, sample.dead].map(({ id }) => id);
  expect(verdicts.map(({ run_id }) => run_id).sort()).toEqual(ended.sort());
  const open = verdicts.filter(({ cleanup_state }) => cleanup_state !== "done");
  expect(open.map(({ run_id }) => run_id)).toEqual([sample.dead.id]);
}

import { describe, expect, it, vi } from "vitest";
import { journal } from "../races/sample-runs.ts";
import {
  EVERY_SECOND,
  gates,
  hasReportedProgress,
  healthOf,
  LEASE_STORES,
  LONG_LEASE,
  PATIENCE,
  reported,
  SHORT_LEASE,
  startPair,
  twiceAMinute,
} from "../support/process/contending-workers.ts";
import { startWorker } from "../support/process/worker-process.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld, type World } from "../support/world/world.ts";

const RUNS = 3;

describe.each(LEASE_STORES)("two workers that both hold the $name lease", ({ open }) => {
  it(
    "leave the writes to the newer epoch, although the older one's come first",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using store = await open(world);
      await seedRuns(world);
      const [answerOlder, answerNewer] = gates(world.host, RUNS, RUNS);
      const env = { ...world.env, ...store.env, ...LONG_LEASE };
      await using older = await startWorker({ ...env, ...twiceAMinute() });
      await world.host.traffic.until("lookup", RUNS);
      await hasReportedProgress(world);
      await store.forget();
      await using newer = await startWorker({ ...env, ...twiceAMinute() });
      await world.host.traffic.until("lookup", 2 * RUNS);
      expect([await healthOf(older), await healthOf(newer)]).toMatchObject([
        { role: "sweeping" },
        { role: "sweeping" },
      ]);

      // The rows still are what both have read: only the epoch stands between the older one and its writes.
      answerOlder?.();
      const report = await older.waitForLog(reported({ epoch: 1, status: "error" }));
      expect(report).toMatchObject({ exitCode: 1, counts: { failed: 0 } });
      await expectUntouched(world);

      answerNewer?.();
      await newer.waitForLog(reported({ epoch: 2, status: "ok" }));
      expect((await journal(world)).map(({ epoch }) => epoch)).toEqual(Array(RUNS).fill(2));
    },
  );

  it(
    "leave the writes to the one that was awake when the other one wakes up",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using store = await open(world);
      await seedRuns(world);
      const [answerSleeper, answerOther] = gates(world.host, RUNS, RUNS);
      const env = { ...world.env, ...store.env, ...SHORT_LEASE, ...twiceAMinute() };
      await using pair = await startPair(env);
      const { sweeping, standby } = await pair.roles();
      await world.host.traffic.until("lookup", RUNS);
      sweeping.kill("SIGSTOP");
      // The other one waits until the lease has run out, and then asks for itself.
      await world.host.traffic.until("lookup", 2 * RUNS);
      answerSleeper?.();
      sweeping.kill("SIGCONT");
      await sweeping.waitForLog(reported({ epoch: 1, status: "error" }));
      await expectUntouched(world);

      answerOther?.();
      await standby.waitForLog(reported({ epoch: 2, status: "ok" }));
      expect((await journal(world)).map(({ epoch }) => epoch)).toEqual(Array(RUNS).fill(2));
    },
  );
});

describe.each(LEASE_STORES)(
  "a worker that sleeps longer than its $name lease lasts",
  ({ open }) => {
    it(
      "writes nothing in the old epoch, although nobody has taken its place",
      PATIENCE,
      async () => {
        await using world = await createWorld();
        await using store = await open(world);
        await seedRuns(world);
        const [answer] = gates(world.host, RUNS);
        const env = { ...world.env, ...store.env, ...SHORT_LEASE, ...EVERY_SECOND };
        await using worker = await startWorker(env);
        await world.host.traffic.until("lookup", RUNS);
        worker.kill("SIGSTOP");
        await store.expired();
        // The answers lie in its sockets when it wakes up.
        answer?.();
        worker.kill("SIGCONT");
        await worker.waitForLog(reported({ epoch: 1, status: "error" }));
        await worker.waitForLog(reported({ epoch: 2, status: "ok" }));
        expect((await journal(world)).map(({ epoch }) => epoch)).toEqual(Array(RUNS).fill(2));
      },
    );
  },
);

describe("a worker whose sweep is longer than its schedule", () => {
  it("drops the ticks that come meanwhile and asks about no run twice", PATIENCE, async () => {
    await using world = await createWorld();
    await seedRuns(world);
    const [answer] = gates(world.host, RUNS);
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    await world.host.traffic.until("lookup", RUNS);
    const ticks = new Set<string>();
    await vi.waitFor(
      async () => {
        ticks.add((await healthOf(worker)).sweep.nextAt);
        expect(ticks.size).toBeGreaterThan(3);
      },
      { timeout: 90_000, interval: 100 },
    );
    expect(await epochOf(world)).toBe(1);
    expect(world.host.traffic.of("lookup").seen).toBe(RUNS);

    answer?.();
    await worker.waitForLog(reported({ epoch: 1, status: "ok" }));
    await worker.waitForLog(reported({ epoch: 2, status: "ok" }));
    expect(world.host.traffic.of("lookup").seen).toBe(RUNS);
  });
});

async function seedRuns(world: World): Promise<void> {
  for (let run = 0; run < RUNS; run += 1) await seedExited(world, 1);
}

async function expectUntouched(world: World): Promise<void> {
  expect(await journal(world)).toEqual([]);
  const rows = await world.database.sql`
    SELECT status, status_detail FROM automation_runs WHERE timeout_at < now()`;
  expect([...rows]).toEqual(Array(RUNS).fill({ status: "RUNNING", status_detail: null }));
}

async function epochOf({ database }: World): Promise<number> {
  const [row] = await database.sql`SELECT epoch::int FROM watchdog.leadership`;
  return row?.["epoch"];
}

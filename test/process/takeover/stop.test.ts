import { describe, expect, it, vi } from "vitest";
import { type PausedCommits, pauseCommits } from "../../races/paused-commit.ts";
import { journal } from "../../races/sample-runs.ts";
import {
  EVERY_SECOND,
  LEASE_STORES,
  LONG_LEASE,
  PATIENCE,
  reported,
} from "../../support/process/contending-workers.ts";
import { startWorker } from "../../support/process/worker-process.ts";
import { seedExited } from "../../support/world/proven-runs.ts";
import { createWorld, type World } from "../../support/world/world.ts";

describe.each(LEASE_STORES)(
  "a worker that is stopped while it sweeps with a $name lease",
  ({ open }) => {
    it("finishes its write, hands the lease over and exits with 0", PATIENCE, async () => {
      await using world = await createWorld();
      await using store = await open(world);
      await using commits = await pauseCommits(world.database);
      const env = { ...world.env, ...store.env, ...LONG_LEASE, ...EVERY_SECOND };
      const { written, asked, reached } = await inTheMiddle(world, commits);
      await using worker = await startWorker(env);
      await reached;
      await using other = await startWorker(env);
      await other.waitForLog("standing by");

      worker.kill("SIGTERM");
      await questionsBrokenOff(world);
      await commits.release();
      expect(await worker.exited).toEqual({ code: 0, signal: null });
      expect(worker.logs.filter(({ msg }) => msg === "run-watchdog has stopped")).toHaveLength(1);
      expect(worker.logs.filter(reported({ epoch: 1 }))).toMatchObject([
        { status: "interrupted", counts: { failed: 1 } },
      ]);

      // The lease had minutes left: the other one got it because it was given back.
      await other.waitForLog(reported({ epoch: 2, status: "ok" }));
      expect(await journal(world)).toMatchObject([
        { run_id: written, epoch: 1 },
        { run_id: asked, epoch: 2 },
      ]);
    });
  },
);

describe("a worker that is stopped twice while it sweeps", () => {
  const signals = [
    { name: "leaves at once with 143 after a second SIGTERM", second: "SIGTERM", code: 143 },
    { name: "leaves at once with 130 when the second is SIGINT", second: "SIGINT", code: 130 },
  ] as const;

  it.each(signals)("$name", PATIENCE, async ({ second, code }) => {
    await using world = await createWorld();
    await using commits = await pauseCommits(world.database);
    const { reached } = await inTheMiddle(world, commits);
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    await reached;
    worker.kill("SIGTERM");
    await questionsBrokenOff(world);
    worker.kill(second);
    // The write is still held back: nobody waited for it.
    expect(await worker.exited).toEqual({ code, signal: null });
    expect(await journal(world)).toEqual([]);
  });
});

interface Middle {
  readonly written: string;
  readonly asked: string;
  /** Settles when the sweep is there. */
  readonly reached: Promise<unknown>;
}

/** A sweep of two runs of which one is being written and the other one being asked about. */
async function inTheMiddle(world: World, commits: PausedCommits): Promise<Middle> {
  const { id: written } = await seedExited(world, 1);
  const { id: asked, sandboxId } = await seedExited(world, 1);
  const { promise: isAsked, resolve } = Promise.withResolvers<void>();
  const letThrough = world.host.intercept((request) => {
    if (request.kind !== "lookup" || request.sandboxId !== sandboxId) return undefined;
    letThrough();
    resolve();
    return "silence";
  });
  return { written, asked, reached: Promise.all([isAsked, commits.waiting(1)]) };
}

/** What a worker does first when it is told to stop. */
async function questionsBrokenOff({ host }: World): Promise<void> {
  await vi.waitFor(() => expect(host.traffic.of("lookup").inFlight).toBe(0), {
    timeout: 90_000,
    interval: 20,
  });
}

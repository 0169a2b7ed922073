/** Workers of one fleet that divides the runs, in memory and at a time that stands still. */
import { Worker } from "../../../src/watchdog/worker/worker.ts";
import { OPTIONS, sweepWorld } from "./sweep-world.ts";
import { ManualSchedule } from "./worker-world.ts";

export interface CrewOptions {
  readonly shards: number;
  readonly workers: number;
}

export function shardCrew({ shards, workers: count }: CrewOptions) {
  const world = sweepWorld();
  const { clock, deps } = world;
  const schedule = new ManualSchedule(clock);
  function hire(number: number) {
    const stop = new AbortController();
    const holder = `host-${number}/4711/ab12`;
    const worker = new Worker(
      { ...deps, schedule },
      {
        ...OPTIONS,
        holder,
        shards,
        verifyTimeoutMs: 30_000,
        observes: false,
        version: "1.2.3",
        fingerprint: "0123456789ab",
      },
    );
    const running = worker.run(stop.signal);
    return {
      holder,
      worker,
      facts: () => worker.facts(),
      /** The shards that it sweeps now. */
      led: () =>
        (worker.facts().shards ?? [])
          .filter(({ role }) => role === "sweeping")
          .map(({ shard }) => shard),
      async stop() {
        stop.abort(new Error("stopped"));
        await running;
      },
    };
  }
  const workers = Array.from({ length: count }, (_, index) => hire(index + 1));
  return Object.assign(world, {
    schedule,
    workers,
    hire,
    /** A tick, and everything that follows from it within `ms`. */
    async tick(ms = 2_500): Promise<void> {
      schedule.tick();
      await clock.advance(ms);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map((worker) => worker.stop()));
    },
  });
}

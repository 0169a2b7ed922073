import { vi } from "vitest";
import type { Clock, Schedule } from "../../../src/watchdog/ports.ts";
import { Worker } from "../../../src/watchdog/worker/worker.ts";
import { NO_FIGURES } from "./figures.ts";
import { OPTIONS, sweepWorld } from "./sweep-world.ts";

export const INTERVAL_MS = 60_000;

/** Ticks when the test says so; announces its ticks for every full minute. */
export class ManualSchedule implements Schedule {
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many workers it ticks for. */
  get running(): number {
    return this.#listeners.size;
  }

  tick(): void {
    for (const listener of this.#listeners) listener();
  }

  start(onTick: () => void): () => void {
    this.#listeners.add(onTick);
    return () => this.#listeners.delete(onTick);
  }

  nextAt(): Date {
    const nowMs = this.#clock.now().getTime();
    return new Date((Math.floor(nowMs / INTERVAL_MS) + 1) * INTERVAL_MS);
  }

  intervalMs(): number {
    return INTERVAL_MS;
  }

  sinceTickMs(count: number): number {
    return count * INTERVAL_MS - (this.nextAt().getTime() - this.#clock.now().getTime());
  }
}

/** A worker with everything it needs in memory, not running yet. */
export function workerWorld({ observes = false } = {}) {
  const world = sweepWorld();
  const { clock, deps, stop } = world;
  const schedule = new ManualSchedule(clock);
  const figures = vi.fn(async () => ({ ...NO_FIGURES, nowMs: clock.now().getTime() }));
  const onRest = vi.fn();
  const worker = new Worker(
    { ...deps, schedule, figures: { figures }, onRest },
    {
      ...OPTIONS,
      verifyTimeoutMs: 30_000,
      observes,
      version: "1.2.3",
      fingerprint: "0123456789ab",
    },
  );
  let state: "not begun" | "running" | "ended" = "not begun";
  return Object.assign(world, {
    schedule,
    figures,
    onRest,
    worker,
    facts: () => worker.facts(),
    async run(): Promise<void> {
      state = "running";
      await worker.run(stop.signal);
      state = "ended";
    },
    state: () => state,
    /** A tick, and everything that follows from it at once. */
    async tick(): Promise<void> {
      schedule.tick();
      await clock.advance(0);
    },
  });
}

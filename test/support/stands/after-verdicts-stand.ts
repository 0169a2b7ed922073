import { vi } from "vitest";
import { Chores } from "../../../src/watchdog/cleanup/after-verdicts.ts";
import { OPTIONS, openFence, sweepWorld } from "./sweep-world.ts";

/** The chores of one sweep, without the sweep. */
export function choresStand() {
  const world = sweepWorld();
  const { db, journal, backend, clock, random, log, stop } = world;
  const fence = openFence(db);
  const onProgress = vi.fn();
  const deps = { journal, backend, clock, random, log, onProgress };
  const options = {
    slots: OPTIONS.cleanupSlots,
    presumedForMs: OPTIONS.sweep.cleanupDelayMs,
  };
  const chores = new Chores(deps, fence, options);
  let state: "waiting" | "ended" = "waiting";
  return Object.assign(world, {
    fence,
    onProgress,
    chores,
    /** Ends with what they were rejected with, or `null`. */
    start: async (): Promise<unknown> => {
      try {
        await chores.run(stop.signal);
        return null;
      } catch (error) {
        return error;
      } finally {
        state = "ended";
      }
    },
    loops: () => state,
  });
}

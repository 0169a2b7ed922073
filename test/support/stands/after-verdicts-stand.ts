import { vi } from "vitest";
import { AfterVerdicts } from "../../../src/watchdog/cleanup/after-verdicts.ts";
import { OPTIONS, openFence, sweepWorld } from "./sweep-world.ts";

/** The afterVerdicts of one sweep, without the sweep. */
export function afterVerdictsStand() {
  const world = sweepWorld();
  const { db, journal, backend, clock, random, log, stop } = world;
  const fence = openFence(db);
  const onProgress = vi.fn();
  const deps = { journal, backend, clock, random, log, onProgress };
  const options = {
    slots: OPTIONS.cleanupSlots,
    presumedForMs: OPTIONS.sweep.cleanupDelayMs,
  };
  const afterVerdicts = new AfterVerdicts(deps, fence, options);
  let state: "waiting" | "ended" = "waiting";
  return Object.assign(world, {
    fence,
    onProgress,
    afterVerdicts,
    /** Ends with what they were rejected with, or `null`. */
    start: async (): Promise<unknown> => {
      try {
        await afterVerdicts.run(stop.signal);
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

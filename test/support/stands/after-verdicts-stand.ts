import { AfterVerdicts } from "../../../src/watchdog/cleanup/after-verdicts.ts";
import type { WorkPorts } from "../../../src/watchdog/port-calls.ts";
import { OPTIONS, openFence, type SweepWorld, sweepWorld } from "./sweep-world.ts";

/** What follows the verdicts of one sweep, without the sweep. */
export function afterVerdictsStand(wrap: (world: SweepWorld) => WorkPorts = (world) => world) {
  const world = sweepWorld();
  const { db, clock, random, log, stop } = world;
  const fence = openFence(db);
  const deps = { ...wrap(world), clock, random, log };
  const options = {
    slots: OPTIONS.cleanupSlots,
    presumedForMs: OPTIONS.sweep.cleanupDelayMs,
  };
  const afterVerdicts = new AfterVerdicts(deps, fence, options);
  let state: "waiting" | "ended" = "waiting";
  return Object.assign(world, {
    fence,
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

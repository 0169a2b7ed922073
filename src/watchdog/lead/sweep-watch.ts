import type { RunOutcome } from "../../rules/report.ts";
import { shieldAfterLookMs } from "../../rules/suspicion.ts";
import type { SweepDeps, SweepOptions } from "../sweep/model.ts";
import type { Tally } from "../sweep/outcome-counter.ts";
import type { ConductOptions, SweepRequest, SweepWatch } from "./model.ts";

export function sweepOptionsOf(options: ConductOptions, request: SweepRequest): SweepOptions {
  const { intervalMs, runIds, limit, overrideReason } = request;
  const shieldMs = shieldAfterLookMs(intervalMs);
  return { ...options.sweep, shieldMs, runIds, limit, overrideReason };
}

/** Counts what the sweep tells and passes it on to those who watch. */
export function watchOutcomes(
  tally: Tally,
  watch: SweepWatch,
  then: (outcome: RunOutcome) => void = () => {},
): Pick<SweepDeps, "onOutcome" | "onUnasked" | "onHold"> {
  return {
    onOutcome(outcome) {
      tally.add(outcome);
      watch.onOutcome?.(outcome);
      then(outcome);
    },
    onUnasked(outcome) {
      tally.addUnasked(outcome);
      watch.onOutcome?.(outcome);
    },
    onHold: (reason) => watch.onHold?.(reason),
  };
}

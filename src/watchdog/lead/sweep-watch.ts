import type { RunOutcome } from "../../rules/report.ts";
import { shieldAfterLookMs } from "../../rules/suspicion.ts";
import type { SweepDeps, SweepOptions } from "../sweep/model.ts";
import type { OutcomeCounter } from "../sweep/outcome-counter.ts";
import type { LeadOptions, SweepRequest, SweepWatch } from "./model.ts";

export function sweepOptionsOf(options: LeadOptions, request: SweepRequest): SweepOptions {
  const { intervalMs, runIds, limit, overrideReason } = request;
  const shieldMs = shieldAfterLookMs(intervalMs);
  return { ...options.sweep, shieldMs, runIds, limit, overrideReason };
}

/** Counts what the sweep tells and passes it on to those who watch. */
export function watchOutcomes(
  counter: OutcomeCounter,
  watch: SweepWatch,
  then: (outcome: RunOutcome) => void = () => {},
): Pick<SweepDeps, "onOutcome" | "onSkipped" | "onHold"> {
  return {
    onOutcome(outcome) {
      counter.add(outcome);
      watch.onOutcome?.(outcome);
      then(outcome);
    },
    onSkipped(outcome) {
      counter.addBlocked(outcome);
      watch.onOutcome?.(outcome);
    },
    onHold: (reason) => watch.onHold?.(reason),
  };
}

import type { RunOutcome, SweepReport } from "../rules/report.ts";
import type { Log } from "../watchdog/ports.ts";
import type { SweepHooks } from "../watchdog/sweep/model.ts";

/**
 * Called while a sweep goes on, and not waited for: what a hook throws, rejects with or never answers harms nothing, and
 * the first failure of each is logged. While it has left 10,000 calls without an end, it is not called. A hook that
 * blocks the thread blocks the sweep with it. What it is given is its own copy.
 */
export interface WatchdogHooks {
  /** Once per run of a sweep, when the run has come to its outcome; also in a dry run. */
  onOutcome?(outcome: RunOutcome): unknown;
  /** The guard holds verdicts back, and why; once per sweep and reason. */
  onHold?(reason: string): unknown;
  /**
   * A sweep has ended, on the schedule or by `sweepOnce`; not when another worker swept instead. What the worker says of
   * itself follows a moment later.
   */
  onSweep?(report: SweepReport): unknown;
}

/** A sweep has thousands of outcomes, and a slow hook may have them all under way. */
const MOST_PENDING = 10_000;

/** The same hooks for a sweep, which neither waits for them nor notices their failures. */
export function harmless(hooks: WatchdogHooks, log: Log): SweepHooks {
  return {
    ...(hooks.onOutcome && {
      onOutcome: guarded("onOutcome", (outcome: RunOutcome) => hooks.onOutcome?.(outcome), log),
    }),
    ...(hooks.onHold && {
      onHold: guarded("onHold", (reason: string) => hooks.onHold?.(reason), log),
    }),
    ...(hooks.onSweep && {
      onSweep: guarded("onSweep", (report: SweepReport) => hooks.onSweep?.(report), log),
    }),
  };
}

function guarded<Value>(
  name: keyof WatchdogHooks,
  hook: (value: Value) => unknown,
  log: Log,
): (value: Value) => void {
  let pending = 0;
  const said = new Set<string>();
  const sayOnce = (message: string, fields: object) => {
    if (!said.has(message)) log.error({ hook: name, ...fields }, message);
    said.add(message);
  };
  const failed = (err: unknown) => sayOnce("a hook failed, the work goes on", { err });
  return (value) => {
    if (pending >= MOST_PENDING) {
      sayOnce("a hook does not come to an end, calls are left out", { pending });
      return;
    }
    try {
      const answer = hook(structuredClone(value));
      if (!isThenable(answer)) return;
      pending += 1;
      const ended = () => {
        pending -= 1;
      };
      Promise.resolve(answer).catch(failed).finally(ended);
    } catch (error) {
      failed(error);
    }
  };
}

function isThenable(answer: unknown): answer is PromiseLike<unknown> {
  return typeof answer === "object" && answer !== null && "then" in answer;
}

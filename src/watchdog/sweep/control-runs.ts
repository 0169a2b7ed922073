import { provesLife } from "../../rules/evidence.ts";
import type { RunSnapshot } from "../../rules/model.ts";
import { withDeadline } from "../concurrency/deadline.ts";
import { endsTheSweep } from "../errors.ts";
import type { SweepContext } from "./model.ts";

/** Verdicts wait for the answer, and what they rest on must not grow old meanwhile. */
const ANSWER_WITHIN_MS = 10_000;

type ControlContext = Pick<SweepContext, "backend" | "clock" | "log">;

/**
 * Whether one of these runs, which should all be alive, is. Silence is no sign of life. Nothing is written about them.
 *
 * @throws what ends the sweep, or `signal.reason`.
 */
export async function anyControlAlive(
  context: ControlContext,
  controlRuns: readonly RunSnapshot[],
  signal: AbortSignal,
): Promise<boolean> {
  const alive = await Promise.all(controlRuns.map((run) => isAlive(context, run, signal)));
  return alive.includes(true);
}

async function isAlive(
  { backend, clock, log }: ControlContext,
  run: RunSnapshot,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const ask = (scope: AbortSignal) => backend.verify(run, scope);
    const answer = await withDeadline(clock, ANSWER_WITHIN_MS, ask, signal);
    return answer.kind === "done" && provesLife(answer.value);
  } catch (error) {
    if (signal.aborted || endsTheSweep(error)) throw error;
    log.error({ err: error, runId: run.id }, "asking a control run failed");
    return false;
  }
}

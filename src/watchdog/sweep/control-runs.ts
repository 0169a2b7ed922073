import { provesLife } from "../../rules/evidence.ts";
import type { RunSnapshot } from "../../rules/model.ts";
import { LinkedController } from "../concurrency/linked-signal.ts";
import { endsTheSweep } from "../errors.ts";
import type { SweepDeps } from "./model.ts";

/** Verdicts wait for the answer, and what they rest on must not grow old meanwhile. */
const PATIENCE_MS = 10_000;

/**
 * Whether one of these runs, which should all be alive, is. Silence is no sign of life. Nothing is written about them.
 *
 * @throws what ends the sweep, or `signal.reason`.
 */
export async function anyControlAlive(
  deps: Pick<SweepDeps, "backend" | "clock" | "log" | "onProgress">,
  controlRuns: readonly RunSnapshot[],
  signal: AbortSignal,
): Promise<boolean> {
  using scope = new LinkedController(signal);
  const patience = deps.clock.sleep(PATIENCE_MS, scope.signal).then(
    () => scope.abort(new Error("the control runs have not answered in time")),
    () => {},
  );
  const signs = await Promise.all(
    controlRuns.map((controlRun) => isAlive(deps, controlRun, signal, scope.signal)),
  );
  scope.abort(new Error("the control runs have answered"));
  await patience;
  return signs.includes(true);
}

async function isAlive(
  { backend, log, onProgress }: Parameters<typeof anyControlAlive>[0],
  controlRun: RunSnapshot,
  sweepSignal: AbortSignal,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return provesLife(await backend.verify(controlRun, signal));
  } catch (error) {
    if (sweepSignal.aborted || endsTheSweep(error)) throw error;
    if (!signal.aborted)
      log.error({ err: error, runId: controlRun.id }, "asking a controlRun failed");
    return false;
  } finally {
    onProgress();
  }
}

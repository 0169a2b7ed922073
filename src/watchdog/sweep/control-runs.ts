import { showsLife } from "../../rules/guard.ts";
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
export async function showLife(
  deps: Pick<SweepDeps, "backend" | "clock" | "log" | "onProgress">,
  canaries: readonly RunSnapshot[],
  signal: AbortSignal,
): Promise<boolean> {
  using scope = new LinkedController(signal);
  const patience = deps.clock.sleep(PATIENCE_MS, scope.signal).then(
    () => scope.abort(new Error("the canaries have not answered in time")),
    () => {},
  );
  const signs = await Promise.all(
    canaries.map((canary) => isAlive(deps, canary, signal, scope.signal)),
  );
  scope.abort(new Error("the canaries have answered"));
  await patience;
  return signs.includes(true);
}

async function isAlive(
  { backend, log, onProgress }: Parameters<typeof showLife>[0],
  canary: RunSnapshot,
  sweepSignal: AbortSignal,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return showsLife(await backend.verify(canary, signal));
  } catch (error) {
    if (sweepSignal.aborted || endsTheSweep(error)) throw error;
    if (!signal.aborted) log.error({ err: error, runId: canary.id }, "asking a canary failed");
    return false;
  } finally {
    onProgress();
  }
}

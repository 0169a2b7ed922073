import type { LinkedController } from "../concurrency/linked-signal.ts";
import { FencedError } from "../errors.ts";
import type { ApiThrottle, Clock, Fence, Log } from "../ports.ts";
import type { Leadership } from "../store-ports.ts";

const LOOK_EVERY_MS = 1000;
const BEAT_EVERY_MS = 5000;

export interface HeartbeatDeps {
  readonly clock: Clock;
  readonly leadership: Pick<Leadership, "progress">;
  readonly log: Log;
  /** Monotonic: when a call of a port last came to an end. */
  readonly progressedAtMs: () => number;
  readonly throttle: () => ApiThrottle;
}

/**
 * Keeps the leadership row fresh while the sweep moves on, and learns there of a newer epoch, which ends the scope. A
 * stricter throttle is passed on at once: this process may be gone in a moment. Ends with the scope; never rejects.
 */
export async function heartbeat(
  { clock, leadership, log, progressedAtMs, throttle }: HeartbeatDeps,
  fence: Fence,
  scope: LinkedController,
): Promise<void> {
  let toldAtMs = clock.monotonicMs();
  let told = throttle();
  while (!scope.signal.aborted) {
    try {
      await clock.sleep(LOOK_EVERY_MS, scope.signal);
      const due = clock.monotonicMs() - toldAtMs >= BEAT_EVERY_MS;
      const moved = progressedAtMs() > toldAtMs;
      if (!(due && moved) && !isStricter(throttle(), told)) continue;
      toldAtMs = clock.monotonicMs();
      told = throttle();
      if (!(await leadership.progress(fence, told))) {
        scope.abort(new FencedError("a newer epoch was handed out"));
      }
    } catch (error) {
      if (!scope.signal.aborted) log.debug({ err: error }, "noting progress failed");
    }
  }
}

/** A pause that merely runs down, and a limit that recovers, can wait. */
function isStricter(now: ApiThrottle, told: ApiThrottle): boolean {
  const limit = now.concurrency ?? Number.POSITIVE_INFINITY;
  return (
    now.pausedForMs > told.pausedForMs || limit < (told.concurrency ?? Number.POSITIVE_INFINITY)
  );
}

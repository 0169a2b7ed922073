import type { LinkedController } from "../concurrency/linked-signal.ts";
import { FencedError } from "../errors.ts";
import type { ApiThrottle, Clock, Fence, Log } from "../ports.ts";
import type { Leadership } from "../store-ports.ts";

const LOOK_EVERY_MS = 1000;
const BEAT_EVERY_MS = 5000;

export interface HeartbeatDeps {
  readonly clock: Clock;
  readonly leadership: Pick<Leadership, "progress" | "read">;
  readonly log: Log;
  /** Monotonic: when a call of a port last came to an end. */
  readonly progressedAtMs: () => number;
  readonly throttle: () => ApiThrottle;
}

/**
 * Keeps the leadership row fresh while the sweep moves on, and learns there of a newer epoch, which ends the scope. One
 * that does not move on only looks: what it waits for is aborted then. A stricter throttle is passed on at once: this
 * process may be gone in a moment. Ends with the scope; never rejects.
 */
export async function heartbeat(
  { clock, leadership, log, progressedAtMs, throttle }: HeartbeatDeps,
  fence: Fence,
  scope: LinkedController,
): Promise<void> {
  let toldAtMs = clock.monotonicMs();
  let told = throttle();
  let lookedAtMs = toldAtMs;
  const isDue = (sinceMs: number) => clock.monotonicMs() - sinceMs >= BEAT_EVERY_MS;
  async function tell(): Promise<boolean> {
    toldAtMs = clock.monotonicMs();
    lookedAtMs = toldAtMs;
    told = throttle();
    return await leadership.progress(fence, told);
  }
  async function look(): Promise<boolean> {
    lookedAtMs = clock.monotonicMs();
    return (await leadership.read(fence.shard)).epoch === fence.epoch;
  }
  while (!scope.signal.aborted) {
    try {
      await clock.sleep(LOOK_EVERY_MS, scope.signal);
      let isOurs = true;
      const moved = isDue(toldAtMs) && progressedAtMs() > toldAtMs;
      if (moved || isStricter(throttle(), told)) isOurs = await tell();
      else if (isDue(lookedAtMs)) isOurs = await look();
      if (!isOurs) scope.abort(new FencedError("a newer epoch was handed out"));
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

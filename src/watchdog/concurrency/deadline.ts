import type { Clock } from "../ports.ts";
import { LinkedController } from "./linked-signal.ts";

/** `late`: the time was up first. What the work comes to after that is of no interest. */
export type InTime<T> = { readonly kind: "done"; readonly value: T } | { readonly kind: "late" };

/**
 * Waits for `work`, but no longer than `ms`. Its signal aborts when the time is up, when `signal` does, and when it has
 * ended.
 *
 * @throws what the work is rejected with in time, or `signal.reason`.
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<InTime<T>> {
  signal.throwIfAborted();
  using scope = new LinkedController(signal);
  const late = clock.sleep(ms, scope.signal).then(() => ({ kind: "late" }) as const);
  // Nobody waits for it any more when the work throws before it returns a promise.
  late.catch(() => {});
  try {
    const done = work(scope.signal).then((value) => ({ kind: "done", value }) as const);
    return await Promise.race([late, done]);
  } finally {
    scope.abort(ENDED);
  }
}

/** One for all: each error that is made costs a stack. */
const ENDED = new Error("ended, or not done in time");

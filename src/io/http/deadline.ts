/** Waiting with a limit, whatever is waited for. */
import type { Clock } from "../../watchdog/ports.ts";

/** The time that some work was given has run out. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/**
 * Does `work` with a signal that aborts with `signal` and after so many milliseconds, and waits no longer than that.
 * Rejects with `signal.reason`, a DeadlineError, or what the work rejects with.
 */
export async function withDeadline<T>(
  work: (signal: AbortSignal) => Promise<T>,
  ms: number,
  clock: Pick<Clock, "after">,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const own = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const giveUp = (reason: unknown) => {
    own.abort(reason);
    reject(reason);
  };
  const onAbort = () => giveUp(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const cancel = clock.after(ms, () => giveUp(new DeadlineError()));
  try {
    work(own.signal).then(resolve, reject);
    return await promise;
  } finally {
    signal.removeEventListener("abort", onAbort);
    cancel();
  }
}

/**
 * Waits for `work`, but rejects with `signal.reason` as soon as the signal aborts. The work goes on by itself then:
 * this is for work that is shared, or that does not notice an abort at once.
 */
export function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    const end = <V>(settle: (value: V) => void) => {
      return (value: V) => {
        signal.removeEventListener("abort", onAbort);
        settle(value);
      };
    };
    work.then(end(resolve), end(reject));
  });
}

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
  clock: Pick<Clock, "sleep">,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const own = new AbortController();
  const timer = new AbortController();
  const onAbort = () => own.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  clock.sleep(ms, timer.signal).then(
    () => own.abort(new DeadlineError()),
    () => {},
  );
  try {
    return await abortable(work(own.signal), own.signal);
  } finally {
    signal.removeEventListener("abort", onAbort);
    timer.abort();
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
    const done = () => signal.removeEventListener("abort", onAbort);
    work.then(resolve, reject).finally(done);
  });
}

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

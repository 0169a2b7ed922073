/**
 * An AbortController that also aborts when `parent` does, until it is disposed. AbortSignal.any would do the same and
 * keep every child of a long-lived parent in memory.
 */
export class LinkedController implements Disposable {
  readonly #parent: AbortSignal;
  readonly #controller = new AbortController();

  constructor(parent: AbortSignal) {
    this.#parent = parent;
    if (parent.aborted) this.#follow();
    else parent.addEventListener("abort", this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    this.#parent.removeEventListener("abort", this.#follow);
  }

  readonly #follow = (): void => {
    this.#controller.abort(this.#parent.reason);
  };
}

/**
 * Waits for a promise for as long as the signal allows; what it comes to after that is of no interest.
 *
 * @throws what the promise is rejected with, or `signal.reason`.
 */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  // A listener would never be called any more.
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([aborted, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

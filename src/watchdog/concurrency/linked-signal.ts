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

/** When the host was asked about each sandbox: what the watchdogs can have seen, from another source than them. */
import type { FakeHost } from "../../fake-host/fake-host.ts";

export class LookupTimes implements Disposable {
  readonly #times = new Map<string, number[]>();
  readonly #remove: () => void;

  constructor(host: FakeHost) {
    this.#remove = host.intercept(({ kind, sandboxIds }) => {
      if (kind === "lookup") for (const sandboxId of sandboxIds) this.#note(sandboxId);
      return undefined;
    });
  }

  /** Unix milliseconds, in their order. */
  of(sandboxId: string): readonly number[] {
    return this.#times.get(sandboxId) ?? [];
  }

  [Symbol.dispose](): void {
    this.#remove();
  }

  #note(sandboxId: string): void {
    const times = this.#times.get(sandboxId) ?? [];
    times.push(Date.now());
    this.#times.set(sandboxId, times);
  }
}

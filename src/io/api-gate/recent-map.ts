import type { Clock } from "../../watchdog/ports.ts";

const KEPT_FOR_MS = 3_600_000;

/** A map that forgets what was not used for an hour: a worker meets many more owners in its life than at any one time. */
export class RecentMap<V> {
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** What was used last comes last. */
  readonly #entries = new Map<string, { readonly value: V; readonly usedAtMs: number }>();

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    this.#forget();
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.set(key, entry.value);
    return entry?.value;
  }

  set(key: string, value: V): void {
    this.#forget();
    this.#entries.delete(key);
    this.#entries.set(key, { value, usedAtMs: this.#clock.monotonicMs() });
  }

  #forget(): void {
    const oldestMs = this.#clock.monotonicMs() - KEPT_FOR_MS;
    for (const [key, { usedAtMs }] of this.#entries) {
      if (usedAtMs > oldestMs) return;
      this.#entries.delete(key);
    }
  }
}

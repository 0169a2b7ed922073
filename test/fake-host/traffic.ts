/** What the fake host was asked: a bounded record, counters, and how much of it happened at once. */
import type { RequestKind, SeenRequest } from "./model.ts";

/** `api` sums up what goes to the shared API: mints, lookups and deletions. */
export type TrafficKind = RequestKind | "api" | "all";

export interface KindTraffic {
  readonly seen: number;
  readonly inFlight: number;
  /** The most that were in flight at once. */
  readonly peak: number;
}

interface Waiter {
  readonly kind: TrafficKind;
  readonly count: number;
  readonly resolve: () => void;
}

const NOTHING: KindTraffic = { seen: 0, inFlight: 0, peak: 0 };

export class Traffic {
  readonly #keep: number;
  readonly #kinds = new Map<TrafficKind, KindTraffic>();
  readonly #waiters = new Set<Waiter>();
  #requests: SeenRequest[] = [];

  constructor(keep: number) {
    this.#keep = keep;
  }

  get requests(): readonly SeenRequest[] {
    return newest(this.#requests, this.#keep);
  }

  of(kind: TrafficKind): KindTraffic {
    return this.#kinds.get(kind) ?? NOTHING;
  }

  /** Settles when `count` requests of the kind have arrived since the start or the last `reset`. */
  until(kind: TrafficKind, count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.add({ kind, count, resolve });
    this.#wake();
    return promise;
  }

  /** Forgets what was seen; what is in flight stays counted. */
  reset(): void {
    this.#requests = [];
    for (const [kind, { inFlight }] of this.#kinds) {
      this.#kinds.set(kind, { seen: 0, inFlight, peak: inFlight });
    }
  }

  toJSON(): Readonly<Record<string, KindTraffic>> {
    return Object.fromEntries(this.#kinds);
  }

  /** @returns what to call when the answer is complete or the asker has gone. */
  arrived(request: SeenRequest): () => void {
    this.#requests.push(request);
    // Cut only now and then: cutting every time would move the whole list.
    if (this.#requests.length > 2 * this.#keep) {
      this.#requests = newest(this.#requests, this.#keep);
    }
    const kinds = kindsOf(request);
    for (const kind of kinds) {
      const { seen, inFlight, peak } = this.of(kind);
      this.#kinds.set(kind, {
        seen: seen + 1,
        inFlight: inFlight + 1,
        peak: Math.max(peak, inFlight + 1),
      });
    }
    this.#wake();
    return () => {
      for (const kind of kinds) {
        const traffic = this.of(kind);
        this.#kinds.set(kind, { ...traffic, inFlight: traffic.inFlight - 1 });
      }
    };
  }

  #wake(): void {
    for (const waiter of this.#waiters) {
      if (this.of(waiter.kind).seen < waiter.count) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }
}

function newest(requests: SeenRequest[], count: number): SeenRequest[] {
  return requests.slice(Math.max(0, requests.length - count));
}

function kindsOf({ kind }: SeenRequest): readonly TrafficKind[] {
  const shared = kind === "mint" || kind === "lookup" || kind === "delete";
  return shared ? [kind, "api", "all"] : [kind, "all"];
}

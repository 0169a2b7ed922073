import type { RunSnapshot } from "../../../rules/model.ts";
import { endsTheSweep } from "../../../watchdog/errors.ts";
import type { StaleQuery } from "../../../watchdog/store-ports.ts";

/** By the place of its id; `null` when there is no such run. */
export type ReadRuns = (
  ids: readonly string[],
  query: StaleQuery,
) => Promise<readonly (RunSnapshot | null)[]>;

interface Wish {
  readonly id: string;
  readonly query: StaleQuery;
  readonly resolve: (run: RunSnapshot | null) => void;
  readonly reject: (error: unknown) => void;
}

/** Of one statement. When more are wanted than that, statements run beside each other. */
const MOST_RUNS = 64;

/**
 * Runs that are wanted at the same time share a statement: while one is under way, those that are wanted meanwhile wait
 * for the next. So a run is never read before it is wanted, and nothing waits for company.
 */
export class SharedReads {
  readonly #readRuns: ReadRuns;
  #wishes: Wish[] = [];
  #underWay = 0;

  constructor(readRuns: ReadRuns) {
    this.#readRuns = readRuns;
  }

  read(id: string, query: StaleQuery): Promise<RunSnapshot | null> {
    const { promise, resolve, reject } = Promise.withResolvers<RunSnapshot | null>();
    this.#wishes.push({ id, query, resolve, reject });
    this.#serve();
    return promise;
  }

  #serve(): void {
    for (;;) {
      const [first] = this.#wishes;
      if (first === undefined) return;
      if (this.#underWay > 0 && this.#wishes.length < MOST_RUNS) return;
      // Sweeps that go on beside each other have different horizons.
      const alike = this.#wishes.filter(({ query }) => query === first.query).slice(0, MOST_RUNS);
      const taken = new Set(alike);
      this.#wishes = this.#wishes.filter((wish) => !taken.has(wish));
      void this.#fulfil(first.query, alike);
    }
  }

  /** Never rejects. */
  async #fulfil(query: StaleQuery, wishes: readonly Wish[]): Promise<void> {
    this.#underWay += 1;
    try {
      const ids = wishes.map(({ id }) => id);
      const runs = await this.#readRuns(ids, query);
      this.#ended();
      for (const [place, { resolve }] of wishes.entries()) resolve(runs[place] ?? null);
    } catch (error) {
      this.#ended();
      // A run that cannot be read is no reason not to read the others.
      const isOfOne = wishes.length > 1 && !endsTheSweep(error);
      for (const wish of wishes) {
        if (isOfOne) void this.#fulfil(query, [wish]);
        else wish.reject(error);
      }
    }
  }

  #ended(): void {
    this.#underWay -= 1;
    this.#serve();
  }
}

import { LeaseUnavailableError, StoreUnavailableError } from "./errors.ts";
import type { Log } from "./ports.ts";

/** What a worker logs of its troubles: each of them once per change, however often it is met in between. */
export class TroubleLog {
  readonly #log: Log;
  /** What is wrong, as far as it was logged; `null` when nothing is. */
  #trouble: string | null = null;
  /** What kept the last attempt from sweeping; `null` when it got through. */
  #hindrance: string | null = null;
  /** The hindrance came back although the stores had answered when they were only asked: that proves nothing then. */
  #persists = false;
  /** What is unusual about standing by, as far as it was logged; `null` when nothing is. */
  #oddity: string | null = null;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The stores, only asked, did not answer. */
  notReady(error: unknown): void {
    this.#report(troubleOf(error), error, "not ready");
  }

  cannotSweep(error: unknown): void {
    const trouble = troubleOf(error);
    if (this.#trouble === null && trouble === this.#hindrance) this.#persists = true;
    this.#hindrance = trouble;
    this.#report(trouble, error, "cannot sweep");
  }

  /** The stores answered when they were only asked. */
  answered(): void {
    if (!this.#persists) this.#withdraw();
  }

  /** An attempt to sweep got through to both stores. */
  served(): void {
    this.#hindrance = null;
    this.#persists = false;
    this.#withdraw();
  }

  /** Something about standing by that somebody has to look at. */
  odd(level: "warn" | "error", fields: object, message: string): void {
    const oddity = `${message} ${JSON.stringify(fields)}`;
    this.#log[oddity === this.#oddity ? "debug" : level](fields, message);
    this.#oddity = oddity;
  }

  nothingOdd(): void {
    this.#oddity = null;
  }

  #report(trouble: string, error: unknown, message: string): void {
    const level = trouble === this.#trouble ? "debug" : "error";
    this.#trouble = trouble;
    this.#log[level]({ err: error }, message);
  }

  #withdraw(): void {
    if (this.#trouble !== null) this.#log.info({}, "stores answer again");
    this.#trouble = null;
  }
}

/** An outage shows itself in many ways, each of which means the same; what a schema lacks is new work for somebody. */
function troubleOf(error: unknown): string {
  if (error instanceof StoreUnavailableError || error instanceof LeaseUnavailableError) {
    return error.name;
  }
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

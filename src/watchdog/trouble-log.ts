import { LeaseUnavailableError, StoreUnavailableError } from "./errors.ts";
import type { Log } from "./ports.ts";

/** Logs what keeps a worker from working: each trouble when it begins, changes and ends, not at every attempt. */
export class TroubleLog {
  readonly #log: Log;
  /** The trouble that was logged last; `null` when there is none. */
  #trouble: string | null = null;
  /** Why the last attempt to sweep failed; `null` after one that got through. */
  #failure: string | null = null;
  /** The failure came back although the stores had answered a probe: a probe proves nothing then. */
  #persists = false;
  /** What is unusual about standing by, as it was logged last; `null` when nothing is. */
  #oddity: string | null = null;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The stores did not answer a probe. */
  notReady(error: unknown): void {
    this.#report(troubleOf(error), error, "not ready");
  }

  cannotSweep(error: unknown): void {
    const trouble = troubleOf(error);
    if (this.#trouble === null && trouble === this.#failure) this.#persists = true;
    this.#failure = trouble;
    this.#report(trouble, error, "cannot sweep");
  }

  /** The stores answered a probe. */
  answered(): void {
    if (!this.#persists) this.#withdraw();
  }

  /** An attempt to sweep got through to both stores. */
  served(): void {
    this.#failure = null;
    this.#persists = false;
    this.#withdraw();
  }

  /** Something unusual about standing by, which a person has to know. */
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

/** The many messages of one outage mean the same; each fault of a schema needs its own repair. */
function troubleOf(error: unknown): string {
  if (error instanceof StoreUnavailableError || error instanceof LeaseUnavailableError) {
    return error.name;
  }
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

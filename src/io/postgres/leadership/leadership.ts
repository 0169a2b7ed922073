import { holderOf } from "../../../rules/lease-key.ts";
import { StoreSchemaError, StoreUnavailableError } from "../../../watchdog/errors.ts";
import type { ApiThrottle, Fence, LeaseKind } from "../../../watchdog/ports.ts";
import type {
  EpochAnswer,
  EpochRequest,
  Horizon,
  Leadership,
  LeadershipView,
} from "../../../watchdog/store-ports.ts";
import { RowBusyError } from "../connection/errors.ts";
import type { Statement, Values } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { toMillis } from "../sql.ts";
import { BEGIN, CLEAR_LEASE_KIND, HORIZON, PROGRESS, READ } from "./leadership-statements.ts";

/**
 * The leadership row: Postgres hands out epochs and fences with them. Each method is one autocommit statement. The row
 * belongs to the worker alone and is written a few times per sweep, so these statements may wait for each other.
 */
export class PostgresLeadership implements Leadership {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async read(): Promise<LeadershipView> {
    // Once per tick: a host that was upgraded meanwhile may have more columns now.
    await this.#database.inspect();
    const [view] = await this.#query("reading the leadership row", READ, {});
    if (view === undefined) throw new StoreSchemaError(NO_ROW);
    return {
      ...view,
      holder: view.holder === null ? null : holderOf(view.holder),
      leaseKind: asLeaseKind(view.leaseKind),
      sinceProgressMs: toMillis(view.sinceProgressMs),
      sinceFinishMs: toMillis(view.sinceFinishMs),
    };
  }

  async begin(request: EpochRequest, check: () => void): Promise<EpochAnswer> {
    const [answer] = await this.#query("taking an epoch", BEGIN, request, check);
    if (answer === undefined) throw new StoreSchemaError(NO_ROW);
    const { epoch, text, ms, pausedForMs, concurrency, alreadySwept, otherKind, pause } = answer;
    if (epoch !== null) {
      const throttle = { pausedForMs, concurrency };
      return { kind: "begun", epoch, horizon: { text, ms }, throttle };
    }
    if (pause !== null) return { kind: "paused", pause };
    const noted = asLeaseKind(answer.noted);
    if (otherKind && noted !== null) return { kind: "other-lease-kind", noted };
    return { kind: alreadySwept ? "already-swept" : "lease-lost" };
  }

  async horizon(): Promise<Horizon> {
    // As above: there may be tables of our own by now.
    await this.#database.inspect();
    const [found] = await this.#query("reading the database's clock", HORIZON, {});
    const isLost = found?.hasRow === false && (await this.#database.remembers());
    if (found === undefined || isLost) throw new StoreSchemaError(NO_ROW);
    return { text: found.text, ms: found.ms };
  }

  progress(fence: Fence, throttle: ApiThrottle): Promise<boolean> {
    return this.#progress("noting progress", fence, null, throttle);
  }

  finish(fence: Fence, report: object, throttle: ApiThrottle): Promise<boolean> {
    const json = JSON.stringify(report);
    return this.#progress("noting the end of the sweep", fence, json, throttle);
  }

  async #progress(
    operation: string,
    fence: Fence,
    report: string | null,
    throttle: ApiThrottle,
  ): Promise<boolean> {
    const params = { ...throttle, report, epoch: fence.epoch };
    return (await this.#query(operation, PROGRESS, params, () => fence.check())).length === 1;
  }

  async clearLeaseKind(epoch: number): Promise<void> {
    await this.#query("clearing the kind of lease", CLEAR_LEASE_KIND, { epoch });
  }

  /** Where statements do not wait for each other (repeatable read), the one that lost did nothing. */
  async #query<Params extends Values<Params>, Row extends object>(
    operation: string,
    statement: Statement<Params, Row>,
    params: Params,
    check?: () => void,
  ): Promise<readonly Row[]> {
    try {
      return await this.#database.query(operation, statement, params, check);
    } catch (error) {
      if (!(error instanceof RowBusyError)) throw error;
      throw new StoreUnavailableError(error.message, { cause: error });
    }
  }
}

export const NO_ROW = "watchdog.leadership has no row: run `run-watchdog migrate`";

function asLeaseKind(text: string | null): LeaseKind | null {
  return text === "redis" || text === "postgres" ? text : null;
}

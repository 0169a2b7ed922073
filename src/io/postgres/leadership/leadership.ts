import { eq, sql } from "drizzle-orm";
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
import type { Connection } from "../connection/connection.ts";
import { RowBusyError } from "../connection/errors.ts";
import type { Database } from "../database.ts";
import { leadership as row } from "../schema.ts";
import { toMillis } from "../sql.ts";
import { buildBegin, buildRead, now } from "./leadership-statements.ts";

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
    const [view] = await this.#run("reading the leadership row", (connection) =>
      connection.prepared(buildRead).execute(),
    );
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
    const [answer] = await this.#run(
      "taking an epoch",
      (connection) => connection.prepared(buildBegin).execute({ ...request }),
      check,
    );
    if (answer === undefined) throw new StoreSchemaError(NO_ROW);
    if (answer.epoch !== null) {
      const throttle = {
        pausedForMs: Math.max(0, Math.ceil(Number(answer.pausedForMs ?? 0))),
        concurrency: answer.concurrency,
      };
      return {
        kind: "begun",
        epoch: Number(answer.epoch),
        horizon: toHorizon(answer),
        throttle,
      };
    }
    const noted = asLeaseKind(answer.noted);
    if (answer.otherKind && noted !== null) return { kind: "other-lease-kind", noted };
    return { kind: answer.alreadySwept ? "already-swept" : "lease-lost" };
  }

  async horizon(): Promise<Horizon> {
    await this.#database.columns();
    const [found] = await this.#run("reading the database's clock", (connection) =>
      connection.db.select(now).from(row),
    );
    if (found === undefined) throw new StoreSchemaError(NO_ROW);
    return toHorizon(found);
  }

  async progress(fence: Fence, throttle: ApiThrottle): Promise<boolean> {
    const rows = await this.#run(
      "noting progress",
      (connection) =>
        connection.db
          .update(row)
          .set({ progressedAt: sql`now()`, ...throttleColumns(throttle) })
          .where(eq(row.epoch, fence.epoch))
          .returning({ epoch: row.epoch }),
      () => fence.check(),
    );
    return rows.length === 1;
  }

  async finish(fence: Fence, report: object, throttle: ApiThrottle): Promise<boolean> {
    const rows = await this.#run(
      "noting the end of the sweep",
      (connection) =>
        connection.db
          .update(row)
          .set({
            sweepFinishedAt: sql`now()`,
            progressedAt: sql`now()`,
            lastReport: report,
            ...throttleColumns(throttle),
          })
          .where(eq(row.epoch, fence.epoch))
          .returning({ epoch: row.epoch }),
      () => fence.check(),
    );
    return rows.length === 1;
  }

  async clearLeaseKind(epoch: number): Promise<void> {
    await this.#run("clearing the kind of lease", (connection) =>
      connection.db.update(row).set({ leaseKind: null }).where(eq(row.epoch, epoch)),
    );
  }

  /** Where statements do not wait for each other (repeatable read), the one that lost did nothing. */
  async #run<T>(
    operation: string,
    work: (connection: Connection) => Promise<T>,
    check?: () => void,
  ): Promise<T> {
    try {
      return await this.#database.run(operation, work, check);
    } catch (error) {
      if (!(error instanceof RowBusyError)) throw error;
      throw new StoreUnavailableError(error.message, { cause: error });
    }
  }
}

const NO_ROW = "watchdog.leadership has no row: run `run-watchdog migrate`";

function throttleColumns({ pausedForMs, concurrency }: ApiThrottle) {
  const until = sql`now() + ${pausedForMs}::float8 * interval '1 millisecond'`;
  return { apiPausedUntil: pausedForMs > 0 ? until : null, apiConcurrency: concurrency };
}

function toHorizon(found: { readonly text: string; readonly ms: string }): Horizon {
  return { text: found.text, ms: Number(found.ms) };
}

function asLeaseKind(text: string | null): LeaseKind | null {
  return text === "redis" || text === "postgres" ? text : null;
}

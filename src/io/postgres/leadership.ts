import { type Column, eq, type SQL, sql } from "drizzle-orm";
import {
  type EpochAnswer,
  type EpochRequest,
  type Fence,
  type Horizon,
  type Leadership,
  type LeadershipView,
  type LeaseKind,
  StoreSchemaError,
  StoreUnavailableError,
} from "../../watchdog/ports.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import { RowBusyError } from "./errors.ts";
import { leadership as row } from "./schema.ts";
import type { Db } from "./session.ts";
import { hole, instantText, isoNow, millisHole, textHole } from "./sql.ts";

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
      leaseKind: asLeaseKind(view.leaseKind),
      sinceProgressMs: asMillis(view.sinceProgressMs),
      sinceFinishMs: asMillis(view.sinceFinishMs),
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
      return { kind: "begun", epoch: Number(answer.epoch), horizon: toHorizon(answer) };
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

  async progress(fence: Fence): Promise<boolean> {
    const rows = await this.#run(
      "noting progress",
      (connection) =>
        connection.db
          .update(row)
          .set({ progressedAt: sql`now()` })
          .where(eq(row.epoch, fence.epoch))
          .returning({ epoch: row.epoch }),
      () => fence.check(),
    );
    return rows.length === 1;
  }

  async finish(fence: Fence, report: object): Promise<boolean> {
    const rows = await this.#run(
      "noting the end of the sweep",
      (connection) =>
        connection.db
          .update(row)
          .set({ sweepFinishedAt: sql`now()`, progressedAt: sql`now()`, lastReport: report })
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

const now = {
  text: isoNow,
  ms: sql<string>`extract(epoch FROM now()) * 1000`,
};

function toHorizon(found: { readonly text: string; readonly ms: string }): Horizon {
  return { text: found.text, ms: Number(found.ms) };
}

/**
 * The row is locked first, and everything a refusal depends on is computed from what is locked: the UPDATE and the
 * answer cannot disagree, whoever wrote the row a moment ago.
 */
function buildBegin(db: Db) {
  const full = sql`${hole("full")}::boolean`;
  const isCron = sql`${textHole("trigger")} = 'cron'`;
  const halfInterval = sql`${millisHole("intervalMs")} / 2`;
  const isPostgres = sql`${textHole("leaseKind")} = 'postgres'`;
  const current = db.$with("current").as(
    db
      .select({
        noted: row.leaseKind,
        alreadySwept: flag(
          "already_swept",
          sql`${full} AND ${isCron} AND ${row.sweepFinishedAt} IS NOT NULL
            AND ${row.sweepStartedAt} > now() - ${halfInterval}`,
        ),
        otherKind: flag(
          "other_kind",
          sql`${row.leaseKind} <> ${textHole("leaseKind")}
            AND ${row.progressedAt} > now() - ${millisHole("otherKindAfterMs")}`,
        ),
        holdsLease: flag(
          "holds_lease",
          sql`NOT ${isPostgres}
            OR ${row.holder} = ${textHole("leaseValue")} AND ${row.leaseExpiresAt} > now()`,
        ),
      })
      .from(row)
      .for("no key update"),
  );
  const whenFull = (value: SQL, column: Column) =>
    sql`CASE WHEN ${full} THEN ${value} ELSE ${column} END`;
  const begun = db.$with("begun").as(
    db
      .update(row)
      .set({
        epoch: sql`${row.epoch} + 1`,
        holder: textHole("leaseValue"),
        leaseKind: textHole("leaseKind"),
        leaseExpiresAt: sql`CASE WHEN ${isPostgres} THEN ${row.leaseExpiresAt} END`,
        sweepTrigger: whenFull(textHole("trigger"), row.sweepTrigger),
        sweepStartedAt: whenFull(sql`now()`, row.sweepStartedAt),
        sweepFinishedAt: whenFull(sql`NULL::timestamptz`, row.sweepFinishedAt),
        progressedAt: whenFull(sql`now()`, row.progressedAt),
      })
      .from(current)
      .where(
        sql`NOT ${current.alreadySwept} AND NOT ${current.otherKind} AND ${current.holdsLease}`,
      )
      .returning({ epoch: row.epoch }),
  );
  return db
    .with(current, begun)
    .select({
      epoch: sql<string | null>`${begun.epoch}`,
      ...now,
      alreadySwept: current.alreadySwept,
      otherKind: current.otherKind,
      noted: current.noted,
    })
    .from(current)
    .leftJoin(begun, sql`true`)
    .prepare("watchdog_begin");
}

/** Unknown counts as no. */
function flag(name: string, condition: SQL): SQL.Aliased<boolean> {
  return sql<boolean>`coalesce(${condition}, false)`.as(name);
}

function buildRead(db: Db) {
  return db
    .select({
      installation: row.installation,
      epoch: row.epoch,
      holder: row.holder,
      leaseKind: row.leaseKind,
      sweepStartedAt: instantText<string | null>(row.sweepStartedAt),
      sweepFinishedAt: instantText<string | null>(row.sweepFinishedAt),
      sinceProgressMs: since(sql`${row.progressedAt}`),
      sinceFinishMs: since(sql`${row.sweepFinishedAt}`),
      readAt: isoNow,
    })
    .from(row)
    .prepare("watchdog_leadership");
}

function since(column: SQL): SQL<string | null> {
  return sql<string | null>`extract(epoch FROM now() - ${column}) * 1000`;
}

function asMillis(text: string | null): number | null {
  return text === null ? null : Math.max(0, Math.trunc(Number(text)));
}

function asLeaseKind(text: string | null): LeaseKind | null {
  return text === "redis" || text === "postgres" ? text : null;
}

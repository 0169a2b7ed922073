import { and, eq, type SQL, sql } from "drizzle-orm";
import {
  type EpochAnswer,
  type EpochRequest,
  type Fence,
  type Horizon,
  type Leadership,
  type LeadershipView,
  type LeaseKind,
  StoreSchemaError,
} from "../../watchdog/ports.ts";
import type { Db } from "./connection.ts";
import type { Database } from "./database.ts";
import { leadership as row } from "./schema.ts";
import { hole, isoNow, millisHole, textHole } from "./sql.ts";

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
    await this.#database.columns();
    const [view] = await this.#database.run("reading the leadership row", (connection) =>
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
    const [answer] = await this.#database.run(
      "taking an epoch",
      (connection) => connection.prepared(buildBegin).execute({ ...request }),
      check,
    );
    if (answer === undefined) throw new StoreSchemaError(NO_ROW);
    if (answer.epoch !== null) {
      return { kind: "begun", epoch: Number(answer.epoch), horizon: toHorizon(answer) };
    }
    const noted = asLeaseKind(answer.noted);
    if (answer.otherKind === true && noted !== null) return { kind: "other-lease-kind", noted };
    if (answer.alreadySwept === true) return { kind: "already-swept" };
    return { kind: "lease-lost" };
  }

  async horizon(): Promise<Horizon> {
    await this.#database.columns();
    const [found] = await this.#database.run("reading the database's clock", (connection) =>
      connection.db.select(now).from(row),
    );
    if (found === undefined) throw new StoreSchemaError(NO_ROW);
    return toHorizon(found);
  }

  async progress(fence: Fence): Promise<boolean> {
    const rows = await this.#database.run(
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
    const rows = await this.#database.run(
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
    await this.#database.run("clearing the kind of lease", (connection) =>
      connection.db.update(row).set({ leaseKind: null }).where(eq(row.epoch, epoch)),
    );
  }
}

const NO_ROW = "watchdog.leadership has no row: run `run-watchdog migrate`";

const now = {
  text: sql<string>`now()::text`,
  ms: sql<string>`extract(epoch FROM now()) * 1000`,
};

function toHorizon(found: { readonly text: string; readonly ms: string }): Horizon {
  return { text: found.text, ms: Math.trunc(Number(found.ms)) };
}

/** Everything a refusal depends on stands in the WHERE, and again in the answer, to tell which it was. */
function buildBegin(db: Db) {
  const full = sql`${hole("full")}::boolean`;
  const isCron = sql`${hole("trigger")}::text = 'cron'`;
  const halfInterval = sql`${millisHole("intervalMs")} / 2`;
  const alreadySwept = sql<boolean>`(${full} AND ${isCron} AND ${row.sweepFinishedAt} IS NOT NULL
    AND ${row.sweepStartedAt} > now() - ${halfInterval})`;
  const otherKind = sql<boolean>`(${row.leaseKind} <> ${textHole("leaseKind")}
    AND coalesce(${row.progressedAt} > now() - ${millisHole("otherKindAfterMs")}, false))`;
  const leaseLost = sql<boolean>`(${textHole("leaseKind")} = 'postgres' AND NOT coalesce(
    ${row.holder} = ${textHole("leaseValue")} AND ${row.leaseExpiresAt} > now(), false))`;
  const whenFull = (value: SQL, column: SQL) =>
    sql`CASE WHEN ${full} THEN ${value} ELSE ${column} END`;

  const begun = db.$with("begun").as(
    db
      .update(row)
      .set({
        epoch: sql`${row.epoch} + 1`,
        holder: textHole("leaseValue"),
        leaseKind: textHole("leaseKind"),
        leaseExpiresAt: sql`CASE WHEN ${textHole("leaseKind")} = 'postgres' THEN ${row.leaseExpiresAt} END`,
        sweepTrigger: whenFull(textHole("trigger"), sql`${row.sweepTrigger}`),
        sweepStartedAt: whenFull(sql`now()`, sql`${row.sweepStartedAt}`),
        sweepFinishedAt: whenFull(sql`NULL::timestamptz`, sql`${row.sweepFinishedAt}`),
        progressedAt: whenFull(sql`now()`, sql`${row.progressedAt}`),
      })
      .where(
        and(
          sql`NOT coalesce(${alreadySwept}, false)`,
          sql`NOT coalesce(${otherKind}, false)`,
          sql`NOT ${leaseLost}`,
        ),
      )
      .returning({ epoch: row.epoch }),
  );
  return db
    .with(begun)
    .select({
      epoch: sql<string | null>`${begun.epoch}`,
      ...now,
      alreadySwept,
      otherKind,
      noted: row.leaseKind,
    })
    .from(row)
    .leftJoin(begun, sql`true`)
    .prepare("watchdog_begin");
}

function buildRead(db: Db) {
  return db
    .select({
      installation: row.installation,
      epoch: row.epoch,
      holder: row.holder,
      leaseKind: row.leaseKind,
      sweepStartedAt: row.sweepStartedAt,
      sweepFinishedAt: row.sweepFinishedAt,
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

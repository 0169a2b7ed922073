import { and, eq, sql } from "drizzle-orm";
import {
  type AcquireAnswer,
  type Lease,
  LeaseUnavailableError,
  StoreUnavailableError,
} from "../../../watchdog/ports.ts";
import type { Connection } from "../connection/connection.ts";
import { RowBusyError } from "../connection/errors.ts";
import type { Db } from "../connection/session.ts";
import type { Database } from "../database.ts";
import { leadership as row } from "../schema.ts";
import { hole, millisHole, textHole } from "../sql.ts";

/**
 * The lease as two columns of the leadership row, compared and set with the database's clock. The embedded default;
 * give it a database of its own, so that a renewal never waits behind the sweep's statements.
 */
export class PostgresLease implements Lease {
  readonly kind = "postgres";
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async ping(): Promise<void> {
    await this.#run("asking for the lease", (connection) =>
      connection.db.select({ epoch: row.epoch }).from(row),
    );
  }

  async acquire(installation: string, value: string, ttlMs: number): Promise<AcquireAnswer> {
    const [answer] = await this.#run("acquiring the lease", (connection) =>
      connection.prepared(buildAcquire).execute({ installation, value, ttlMs }),
    );
    if (answer?.acquired === true) return { kind: "acquired" };
    return {
      kind: "held",
      value: answer?.holder ?? null,
      expiresInMs: Math.max(0, Math.ceil(Number(answer?.expiresInMs ?? 0))),
    };
  }

  async renew(installation: string, value: string, ttlMs: number): Promise<boolean> {
    const rows = await this.#run("renewing the lease", (connection) =>
      connection.prepared(buildRenew).execute({ installation, value, ttlMs }),
    );
    return rows.length === 1;
  }

  async release(installation: string, value: string): Promise<boolean> {
    const rows = await this.#run("releasing the lease", (connection) =>
      connection.prepared(buildRelease).execute({ installation, value }),
    );
    return rows.length === 1;
  }

  async #run<T>(operation: string, work: (connection: Connection) => Promise<T>): Promise<T> {
    try {
      return await this.#database.run(operation, work);
    } catch (error) {
      const tryAgain = error instanceof StoreUnavailableError || error instanceof RowBusyError;
      throw tryAgain ? new LeaseUnavailableError(error.message, { cause: error }) : error;
    }
  }
}

/** The row is locked first: a refusal then tells of the holder that won, not of the state before it did. */
function buildAcquire(db: Db) {
  const current = db.$with("current").as(
    db
      .select({
        holder: row.holder,
        free: sql<boolean>`NOT coalesce(${row.leaseExpiresAt} > now(), false)`.as("free"),
        expiresInMs: sql<
          string | null
        >`extract(epoch FROM ${row.leaseExpiresAt} - now()) * 1000`.as("expires_in_ms"),
      })
      .from(row)
      .where(eq(row.installation, hole("installation")))
      .for("no key update"),
  );
  const acquired = db.$with("acquired").as(
    db
      .update(row)
      .set({
        holder: textHole("value"),
        leaseExpiresAt: sql`now() + ${millisHole("ttlMs")}`,
      })
      .from(current)
      .where(sql`${current.free}`)
      .returning({ yes: sql<boolean>`true`.as("yes") }),
  );
  return db
    .with(current, acquired)
    .select({
      acquired: sql<boolean | null>`${acquired.yes}`,
      holder: current.holder,
      expiresInMs: current.expiresInMs,
    })
    .from(current)
    .leftJoin(acquired, sql`true`)
    .prepare("watchdog_lease_acquire");
}

function held() {
  return and(
    eq(row.installation, hole("installation")),
    eq(row.holder, hole("value")),
    sql`${row.leaseExpiresAt} > now()`,
  );
}

function buildRenew(db: Db) {
  return db
    .update(row)
    .set({ leaseExpiresAt: sql`now() + ${millisHole("ttlMs")}` })
    .where(held())
    .returning({ epoch: row.epoch })
    .prepare("watchdog_lease_renew");
}

function buildRelease(db: Db) {
  return db
    .update(row)
    .set({ leaseExpiresAt: sql`NULL` })
    .where(held())
    .returning({ epoch: row.epoch })
    .prepare("watchdog_lease_release");
}

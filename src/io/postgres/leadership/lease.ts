import { LeaseUnavailableError, StoreUnavailableError } from "../../../watchdog/errors.ts";
import type { AcquireAnswer, Lease } from "../../../watchdog/ports.ts";
import type { Connection } from "../connection/connection.ts";
import { RowBusyError } from "../connection/errors.ts";
import { statement } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { leadership as row } from "../schema.ts";

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
      connection.query(ACQUIRE, { installation, value, ttlMs }),
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
      connection.query(RENEW, { installation, value, ttlMs }),
    );
    return rows.length === 1;
  }

  async release(installation: string, value: string): Promise<boolean> {
    const rows = await this.#run("releasing the lease", (connection) =>
      connection.query(RELEASE, { installation, value }),
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

interface LeaseParams {
  readonly installation: string;
  readonly value: string;
}

interface TermParams extends LeaseParams {
  readonly ttlMs: number;
}

/** The row is locked first: a refusal then tells of the holder that won, not of the state before it did. */
const ACQUIRE = statement<
  TermParams,
  {
    readonly acquired: boolean | null;
    readonly holder: string | null;
    readonly expiresInMs: string | null;
  }
>(`
  WITH current AS (
    SELECT holder,
      NOT coalesce(lease_expires_at > now(), false) AS free,
      extract(epoch FROM lease_expires_at - now()) * 1000 AS expires_in_ms
    FROM watchdog.leadership
    WHERE installation = :installation::uuid
    FOR NO KEY UPDATE
  ), acquired AS (
    UPDATE watchdog.leadership
    SET holder = :value::text,
      lease_expires_at = now() + :ttlMs::float8 * interval '1 millisecond'
    FROM current
    WHERE current.free
    RETURNING true AS yes
  )
  SELECT acquired.yes AS acquired, current.holder, current.expires_in_ms AS "expiresInMs"
  FROM current LEFT JOIN acquired ON true`);

const HELD = `installation = :installation::uuid AND holder = :value::text AND lease_expires_at > now()`;

const RENEW = statement<TermParams, { readonly epoch: string }>(`
  UPDATE watchdog.leadership
  SET lease_expires_at = now() + :ttlMs::float8 * interval '1 millisecond'
  WHERE ${HELD}
  RETURNING epoch`);

const RELEASE = statement<LeaseParams, { readonly epoch: string }>(`
  UPDATE watchdog.leadership
  SET lease_expires_at = NULL
  WHERE ${HELD}
  RETURNING epoch`);

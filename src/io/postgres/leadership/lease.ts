import { LeaseUnavailableError, StoreUnavailableError } from "../../../watchdog/errors.ts";
import type { AcquireAnswer, Lease } from "../../../watchdog/ports.ts";
import { RowBusyError } from "../connection/errors.ts";
import { type Statement, statement, type Values } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { perShard } from "../sql.ts";

/**
 * The lease as two columns of the leadership row, or of the shard's, compared and set with the database's clock. The embedded default;
 * give it a database of its own, so that a renewal never waits behind the sweep's statements.
 */
export class PostgresLease implements Lease {
  readonly kind = "postgres";
  readonly #database: Database;
  readonly #shard: number;

  constructor(database: Database, shard = 0) {
    this.#database = database;
    this.#shard = shard;
  }

  ofShard(index: number): PostgresLease {
    return new PostgresLease(this.#database, index);
  }

  async ping(): Promise<void> {
    await this.#query("asking for the lease", PING, {});
  }

  async acquire(installation: string, value: string, ttlMs: number): Promise<AcquireAnswer> {
    const params = { ...this.#place(installation), value, ttlMs };
    const [answer] = await this.#query("acquiring the lease", ACQUIRE(params), params);
    if (answer?.acquired === true) return { kind: "acquired" };
    return {
      kind: "held",
      value: answer?.holder ?? null,
      expiresInMs: answer?.expiresInMs ?? 0,
    };
  }

  async renew(installation: string, value: string, ttlMs: number): Promise<boolean> {
    const params = { ...this.#place(installation), value, ttlMs };
    const rows = await this.#query("renewing the lease", RENEW(params), params);
    return rows.length === 1;
  }

  async release(installation: string, value: string): Promise<boolean> {
    const params = { ...this.#place(installation), value };
    const rows = await this.#query("releasing the lease", RELEASE(params), params);
    return rows.length === 1;
  }

  #place(installation: string): Pick<LeaseParams, "installation" | "shard"> {
    return { installation, shard: this.#shard };
  }

  async #query<Params extends Values<Params>, Row extends object>(
    operation: string,
    statement: Statement<Params, Row>,
    params: Params,
  ): Promise<readonly Row[]> {
    try {
      return await this.#database.query(operation, statement, params);
    } catch (error) {
      const tryAgain = error instanceof StoreUnavailableError || error instanceof RowBusyError;
      throw tryAgain ? new LeaseUnavailableError(error.message, { cause: error }) : error;
    }
  }
}

const PING = statement<Record<never, never>, { readonly epoch: number }>(`
  SELECT epoch FROM watchdog.leadership`);

interface LeaseParams {
  readonly installation: string;
  readonly shard: number;
  readonly value: string;
}

interface TermParams extends LeaseParams {
  readonly ttlMs: number;
}

interface Acquired {
  readonly acquired: boolean | null;
  readonly holder: string | null;
  readonly expiresInMs: number;
}

const IS_HERE = "(SELECT installation FROM watchdog.leadership) = :installation::uuid";

/** The row is locked first: a refusal then tells of the holder that won, not of the state before it did. */
const ACQUIRE = perShard(({ table, isRow }) =>
  statement<TermParams, Acquired>(`
  WITH current AS (
    SELECT holder,
      NOT coalesce(lease_expires_at > now(), false) AS free,
      ceil(greatest(0, extract(epoch FROM lease_expires_at - now()) * 1000)) AS expires_in_ms
    FROM ${table}
    WHERE ${isRow} AND ${IS_HERE}
    FOR NO KEY UPDATE
  ), acquired AS (
    UPDATE ${table}
    SET holder = :value::text,
      lease_expires_at = now() + :ttlMs::float8 * interval '1 millisecond'
    FROM current
    WHERE ${isRow} AND current.free
    RETURNING true AS yes
  )
  SELECT acquired.yes AS acquired, current.holder, current.expires_in_ms AS "expiresInMs"
  FROM current LEFT JOIN acquired ON true`),
);

const IS_HELD = `${IS_HERE} AND holder = :value::text AND lease_expires_at > now()`;

const RENEW = perShard(({ table, isRow }) =>
  statement<TermParams, { readonly epoch: number }>(`
  UPDATE ${table}
  SET lease_expires_at = now() + :ttlMs::float8 * interval '1 millisecond'
  WHERE ${isRow} AND ${IS_HELD}
  RETURNING epoch`),
);

const RELEASE = perShard(({ table, isRow }) =>
  statement<LeaseParams, { readonly epoch: number }>(`
  UPDATE ${table}
  SET lease_expires_at = NULL
  WHERE ${isRow} AND ${IS_HELD}
  RETURNING epoch`),
);

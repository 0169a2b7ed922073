import { LeaseUnavailableError, StoreUnavailableError } from "../../../watchdog/errors.ts";
import type { AcquireAnswer, Lease } from "../../../watchdog/ports.ts";
import { RowBusyError } from "../connection/errors.ts";
import { type Statement, statement, type Values } from "../connection/statement.ts";
import type { Database } from "../database.ts";

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
    await this.#query("asking for the lease", PING, {});
  }

  async acquire(installation: string, value: string, ttlMs: number): Promise<AcquireAnswer> {
    const params = { installation, value, ttlMs };
    const [answer] = await this.#query("acquiring the lease", ACQUIRE, params);
    if (answer?.acquired === true) return { kind: "acquired" };
    return {
      kind: "held",
      value: answer?.holder ?? null,
      expiresInMs: answer?.expiresInMs ?? 0,
    };
  }

  async renew(installation: string, value: string, ttlMs: number): Promise<boolean> {
    const rows = await this.#query("renewing the lease", RENEW, { installation, value, ttlMs });
    return rows.length === 1;
  }

  async release(installation: string, value: string): Promise<boolean> {
    const rows = await this.#query("releasing the lease", RELEASE, { installation, value });
    return rows.length === 1;
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

/** The row is locked first: a refusal then tells of the holder that won, not of the state before it did. */
const ACQUIRE = statement<TermParams, Acquired>(`
  WITH current AS (
    SELECT holder,
      NOT coalesce(lease_expires_at > now(), false) AS free,
      ceil(greatest(0, extract(epoch FROM lease_expires_at - now()) * 1000)) AS expires_in_ms
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

const RENEW = statement<TermParams, { readonly epoch: number }>(`
  UPDATE watchdog.leadership
  SET lease_expires_at = now() + :ttlMs::float8 * interval '1 millisecond'
  WHERE ${HELD}
  RETURNING epoch`);

const RELEASE = statement<LeaseParams, { readonly epoch: number }>(`
  UPDATE watchdog.leadership
  SET lease_expires_at = NULL
  WHERE ${HELD}
  RETURNING epoch`);

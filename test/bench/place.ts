/** The servers of a bench, each in a process of its own: given, or started here and gone with us. */
import type { Sql } from "postgres";
import { startPostgres } from "../services/postgres/embedded-postgres.ts";
import {
  connect,
  connectionOptions,
  createNamed,
  databaseUrl,
  dropNamed,
  fill,
  withClient,
} from "../services/postgres/server-databases.ts";
import { openPostgres, openRedis, type RedisService } from "../services/services.ts";

/** fsync off: a disk is not what is measured. Room enough that no checkpoint comes into a measurement by itself. */
const SETTINGS = {
  fsync: "off",
  max_connections: "200",
  shared_buffers: "512MB",
  max_wal_size: "8GB",
  checkpoint_timeout: "1h",
  shared_preload_libraries: "pg_stat_statements",
};

const CONNECTIONS = 20;

export interface BenchDatabase extends AsyncDisposable {
  readonly url: string;
  readonly sql: Sql;
}

export class Place implements AsyncDisposable {
  readonly postgres: string;
  readonly #server: string;
  readonly #resources: AsyncDisposableStack;
  #redis: RedisService | null = null;

  private constructor(server: string, label: string, resources: AsyncDisposableStack) {
    this.#server = server;
    this.postgres = label;
    this.#resources = resources;
  }

  static async open(): Promise<Place> {
    await using resources = new AsyncDisposableStack();
    if (process.env["TEST_DATABASE_URL"]) {
      const { url, label } = await openPostgres(Promise.resolve(null), () => {});
      return new Place(url, label, resources.move());
    }
    const server = resources.use(await startPostgres({ settings: SETTINGS }));
    const version = await withClient(server.url(), versionOf);
    return new Place(server.url(), `PostgreSQL ${version} (embedded)`, resources.move());
  }

  /** What it calls itself; `null` while nobody has asked for one. */
  get redisLabel(): string | null {
    return this.#redis?.label ?? null;
  }

  async redisUrl(): Promise<string> {
    if (this.#redis === null) {
      const redis = await openRedis(Promise.resolve(null), () => {});
      this.#resources.defer(() => redis.close());
      this.#redis = redis;
    }
    return this.#redis.url;
  }

  /**
   * An empty database with the host's tables and the worker's own, dropped at its end.
   *
   * @param hostTables makes those of the host where they are to be others than ours.
   */
  async createDatabase(hostTables?: (url: string) => Promise<void>): Promise<BenchDatabase> {
    const name = await withClient(this.#server, (admin) => createNamed(admin, null));
    const url = databaseUrl(this.#server, name);
    const sql = connect(url.href, CONNECTIONS);
    const dispose = async () => {
      await sql.end({ timeout: 1 });
      await withClient(this.#server, (admin) => dropNamed(admin, name));
    };
    try {
      await hostTables?.(url.href);
      const contents = { hostTables: hostTables === undefined, migrated: true };
      await fill(sql, connectionOptions(url), contents);
    } catch (error) {
      await dispose();
      throw error;
    }
    return { url: url.href, sql, [Symbol.asyncDispose]: dispose };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

async function versionOf(sql: Sql): Promise<string> {
  const [row] = await sql<{ readonly version: string }[]>`
    SELECT split_part(current_setting('server_version'), ' ', 1) AS version`;
  return row?.version ?? "?";
}

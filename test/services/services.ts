/** The PostgreSQL and the Redis of a test run: given, in a container, or local; whatever comes first. */
import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { type Engine, guardContainer } from "./docker.ts";
import type { LocalProgram } from "./local-program.ts";
import { findPgBouncer, pgbouncerVersion } from "./pgbouncer/program.ts";
import { startPostgres } from "./postgres/embedded-postgres.ts";
import { findRedis, type RedisProgram } from "./redis/program.ts";
import { RedisServer, redisVersion } from "./redis/server.ts";

const POSTGRES_IMAGE = "postgres:17-alpine";
const REDIS_IMAGE = "redis:8-alpine";
// A first start pulls the image.
const CONTAINER_WITHIN_MS = 180_000;
const SETTINGS = { fsync: "off", max_connections: "200", max_wal_size: "128MB" };

export interface Service {
  readonly url: string;
  /** `PostgreSQL 18.4 (embedded)` */
  readonly label: string;
  /** Safe to call again. */
  close(): Promise<void>;
}

export interface RedisService extends Service {
  /** A redis-server for tests that need one of their own; `null` when there is none on this machine. */
  readonly program: RedisProgram | null;
}

type Docker = Promise<Engine | null>;
type Print = (line: string) => void;

export async function openPostgres(docker: Docker, print: Print): Promise<Service> {
  const given = process.env["TEST_DATABASE_URL"];
  if (given) {
    const version = await postgresVersion(given);
    return { url: given, label: `${version} (TEST_DATABASE_URL)`, close: async () => undefined };
  }
  const container = await inContainer(await docker, POSTGRES_IMAGE, print, startPostgresContainer);
  if (container !== null) {
    const version = await postgresVersion(container.url);
    return { ...container, label: `${version} (container ${POSTGRES_IMAGE})` };
  }
  const server = await startPostgres({ settings: SETTINGS });
  const label = `${await postgresVersion(server.url())} (embedded)`;
  return { url: server.url(), label, close: () => server.stop() };
}

export async function openRedis(docker: Docker, print: Print): Promise<RedisService> {
  const given = process.env["TEST_REDIS_URL"];
  const engine = given ? null : await docker;
  const container = await inContainer(engine, REDIS_IMAGE, print, startRedisContainer);
  const elsewhere = given ? { url: given, close: async () => undefined } : container;
  if (elsewhere !== null) {
    const origin = given ? "TEST_REDIS_URL" : `container ${REDIS_IMAGE}`;
    const label = `${await redisVersion(elsewhere.url)} (${origin})`;
    return { ...elsewhere, label, program: await findRedis().catch(() => null) };
  }
  const program = await findRedis();
  const server = await RedisServer.start(program);
  const label = `${await redisVersion(server.url)} (${program.origin})`;
  return { url: server.url, label, program, close: () => server.stop() };
}

/** What stands for a transaction pooler: PgBouncer, and a scripted gate where this machine has none. */
export async function findPooler(): Promise<{
  readonly program: LocalProgram | null;
  readonly label: string;
}> {
  try {
    const program = await findPgBouncer();
    return { program, label: `${await pgbouncerVersion(program)} (${program.origin})` };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { program: null, label: `a scripted gate instead of PgBouncer (${reason})` };
  }
}

interface StartedContainer {
  getId(): string;
  stop(): Promise<unknown>;
}

/** `null` without an engine and, with a line that says why, when the engine cannot provide it. */
async function inContainer(
  engine: Engine | null,
  image: string,
  print: Print,
  start: () => Promise<{ readonly url: string; readonly container: StartedContainer }>,
): Promise<{ readonly url: string; close(): Promise<void> } | null> {
  if (engine === null) return null;
  const starting = start();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`no container within ${CONTAINER_WITHIN_MS / 1000} s`)),
    CONTAINER_WITHIN_MS,
  );
  try {
    const { url, container } = await Promise.race([starting, late.promise]);
    return { url, close: closing(engine, container) };
  } catch (error) {
    starting.then(
      ({ container }) => container.stop(),
      () => undefined,
    );
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    print(`Docker answers, but not with ${image} (${reason}): using what is on this machine`);
    return null;
  } finally {
    clearTimeout(timer);
  }
}

function closing(engine: Engine, container: StartedContainer): () => Promise<void> {
  const unguarded = process.env["TESTCONTAINERS_RYUK_DISABLED"] === "true";
  const release = unguarded ? guardContainer(engine, container.getId()) : () => undefined;
  let closed: Promise<void> | null = null;
  return () => {
    closed ??= container.stop().then(release);
    return closed;
  };
}

async function startPostgresContainer() {
  const { PostgreSqlContainer } = await import("@testcontainers/postgresql");
  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const container = await new PostgreSqlContainer(POSTGRES_IMAGE)
    .withCommand(["postgres", ...settings])
    // Its default is a word that stands in many a message.
    .withPassword(randomBytes(12).toString("hex"))
    .start();
  return { url: container.getConnectionUri(), container };
}

async function startRedisContainer() {
  const { RedisContainer } = await import("@testcontainers/redis");
  const container = await new RedisContainer(REDIS_IMAGE).start();
  return { url: container.getConnectionUrl(), container };
}

async function postgresVersion(url: string): Promise<string> {
  const sql = postgres(url, { max: 1, fetch_types: false });
  try {
    const [row] = await sql<{ readonly version: string }[]>`
      SELECT split_part(current_setting('server_version'), ' ', 1) AS version`;
    return `PostgreSQL ${row?.version ?? "?"}`;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** What is told, and thrown, when the surroundings fail whose addresses carry passwords. */
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { createWatchdog, parseConfig } from "../../../src/index.ts";
import { startRedis } from "../../services/redis/redis.ts";
import { ScriptedRedis } from "../../services/redis/scripted-redis.ts";
import { recordedLog } from "../../support/memory/recorded-log.ts";
import { type ProcessEnv, runOnce } from "../../support/process/worker-process.ts";
import { leaksIn, markedSecret, tenantText } from "../../support/world/marked-secrets.ts";
import { createWorld, exitedWith, type World } from "../../support/world/world.ts";

const DATABASE_PASSWORD = markedSecret("database");
const REDIS_PASSWORD = markedSecret("redis");
const PROXY = `me:${markedSecret("proxy")}`;
const NOWHERE = "127.0.0.1:1";

interface Failing {
  readonly name: string;
  /** What is different; may start servers. */
  readonly env: (world: World, resources: AsyncDisposableStack) => Promise<ProcessEnv> | ProcessEnv;
  /** On stderr of `once`. */
  readonly says: string;
  readonly exitCode: number;
}

const failing: readonly Failing[] = [
  {
    name: "Postgres refuses the password",
    env: ({ database }) => ({ DATABASE_URL: withPassword(database.url) }),
    says: "password authentication failed",
    exitCode: 69,
  },
  {
    name: "Postgres is not there",
    env: () => ({ DATABASE_URL: `postgres://me:${DATABASE_PASSWORD}@${NOWHERE}/app` }),
    says: "ECONNREFUSED",
    exitCode: 69,
  },
  {
    name: "the database is not there",
    env: ({ database }) => ({ DATABASE_URL: `${database.url}_gone?zq=${DATABASE_PASSWORD}` }),
    says: "does not exist",
    exitCode: 69,
  },
  {
    name: "Postgres' host has no address",
    env: () => ({ DATABASE_URL: `postgres://me:${DATABASE_PASSWORD}@nowhere.invalid/app` }),
    says: "nowhere.invalid",
    exitCode: 69,
  },
  {
    name: "Postgres does not speak TLS",
    env: ({ database }) => ({ DATABASE_URL: `${withPassword(database.url)}?sslmode=require` }),
    says: "the server speaks no TLS",
    exitCode: 69,
  },
  {
    name: "the database's address is half-written",
    env: () => ({ DATABASE_URL: `postgres://me:${DATABASE_PASSWORD}` }),
    says: "DATABASE_URL must",
    exitCode: 2,
  },
  {
    name: "Redis refuses the password",
    env: async (_, resources) => {
      const { host, port } = resources.use(await startRedis());
      return { REDIS_URL: `redis://me:${REDIS_PASSWORD}@${host}:${port}` };
    },
    says: "WRONGPASS",
    exitCode: 69,
  },
  {
    name: "Redis is not there",
    env: () => ({ REDIS_URL: `redis://me:${REDIS_PASSWORD}@${NOWHERE}` }),
    says: "ECONNREFUSED",
    exitCode: 69,
  },
  {
    name: "Redis repeats what it is sent",
    env: async (_, resources) => {
      const repeats = (command: string) => `-ERR unknown command '${command}'`;
      const redis = resources.use(await ScriptedRedis.start(repeats));
      return { REDIS_URL: redis.url.replace("//", `//me:${REDIS_PASSWORD}@`) };
    },
    says: "unknown command",
    exitCode: 69,
  },
  {
    name: "Redis does not speak TLS",
    env: async (_, resources) => {
      const { host, port } = resources.use(await startRedis());
      return { REDIS_URL: `rediss://:${REDIS_PASSWORD}@${host}:${port}` };
    },
    says: "at redis 127.0.0.1:",
    exitCode: 69,
  },
  {
    name: "a trigger repeats the row as a missing privilege",
    env: (world) => raising(world, "42501"),
    says: "SQLSTATE 42501",
    exitCode: 3,
  },
  {
    name: "a trigger repeats the row as a full disk",
    env: (world) => raising(world, "53100"),
    says: "SQLSTATE 53100",
    exitCode: 3,
  },
  {
    name: "the proxy is not there",
    env: () => ({ http_proxy: `http://${PROXY}@${NOWHERE}` }),
    says: "",
    exitCode: 3,
  },
  {
    name: "a proxy's address is no URL",
    env: () => ({ http_proxy: `http://${PROXY}@no host:${markedSecret("port")}` }),
    says: "",
    exitCode: 2,
  },
];

describe("a failure of the surroundings", () => {
  for (const { name, env, says, exitCode } of failing) {
    it(`tells no secret and no tenant's text when ${name}`, async () => {
      await using resources = new AsyncDisposableStack();
      const world = resources.use(await createWorld());
      const run = await world.seed({ automation: { name: tenantText("automation name") } });
      const output = { ...exitedWith(3, run), stderr: tenantText("stderr") };
      world.host.update(run.sandboxId ?? "", { outputs: [output] });
      const variables = { ...world.env, LOG_LEVEL: "trace", ...(await env(world, resources)) };

      const once = await runOnce(variables, ["once", "--output", "json"]);
      const told = once.stdout + once.stderr;
      expect({ exitCode: once.code, stderr: once.stderr }).toEqual({
        exitCode,
        stderr: expect.stringContaining(says),
      });
      expect(leaksIn(told)).toEqual([]);

      const thrown = await thrownBySweep(variables);
      expect(leaksIn(thrown)).toEqual([]);
    });
  }
});

/** What an embedding host gets to see of the same failure: everything in the error, and the log. */
async function thrownBySweep(env: ProcessEnv): Promise<string> {
  const { log, entries } = recordedLog();
  const seen: unknown[] = [entries];
  try {
    const { config } = parseConfig(env, () => "");
    await using watchdog = createWatchdog(config, { log });
    await watchdog.sweepOnce(new AbortController().signal);
  } catch (error) {
    seen.push(error);
    if (error instanceof Error) seen.push(error.message, error.stack);
  }
  return inspect(seen, { depth: 12, showHidden: true, maxStringLength: null });
}

/** The host's own function ends every write with an error of this kind, and the row in its words. */
async function raising({ database: { sql } }: World, sqlState: string): Promise<ProcessEnv> {
  await sql.unsafe(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused: %', row_to_json(NEW) USING ERRCODE = '${sqlState}'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON automation_runs
      FOR EACH ROW EXECUTE FUNCTION refuse()`);
  return {};
}

function withPassword(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.password = DATABASE_PASSWORD;
  return url.href;
}

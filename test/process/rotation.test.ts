import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { describe, expect, it, vi } from "vitest";
import { createRole, WORKER_GRANTS } from "../services/postgres/database-role.ts";
import { endWatchdogSessions } from "../services/postgres/server-sessions.ts";
import { startRedis } from "../services/redis/redis.ts";
import { untilReady } from "../support/process/ask-health.ts";
import { SecretVolume } from "../support/process/secret-volume.ts";
import { startWorker } from "../support/process/worker-process.ts";
import { createWorld, exitedWith, randomCommandId } from "../support/world/world.ts";

const WITHIN = { timeout: 90_000, interval: 200 };
const OFTEN = { WATCHDOG_SCHEDULE: "* * * * * *", WATCHDOG_DEFER: "1s", LOG_LEVEL: "debug" };

interface Secrets {
  readonly database: string;
  readonly redis: string;
  readonly serviceKey: string;
}

const randomSecrets = (): Secrets => ({
  database: randomBytes(12).toString("hex"),
  redis: randomBytes(12).toString("hex"),
  serviceKey: randomBytes(12).toString("hex"),
});

describe("a worker whose secrets are replaced while it runs", () => {
  it("goes on with the new ones, and shows neither the old ones nor the new ones", async () => {
    await using world = await createWorld();
    await using role = await createRole(world.database, WORKER_GRANTS);
    await using redis = await startRedis();
    await using resources = new AsyncDisposableStack();
    const admin = resources.adopt(new Redis(redis.url), (client) => client.disconnect());
    const { sql } = world.database;

    const first = randomSecrets();
    const second = { ...randomSecrets(), serviceKey: world.host.serviceKey };
    /** In Postgres and Redis, which also end all sessions that began before. */
    async function put({ database, redis: password }: Secrets): Promise<void> {
      await sql.unsafe(`ALTER ROLE ${role.name} PASSWORD '${database}'`);
      await endWatchdogSessions(sql);
      await admin.config("SET", "requirepass", password);
      await admin.call("client", "kill", "type", "normal");
    }
    const files = ({ database, redis: password, serviceKey }: Secrets) => {
      const url = new URL(world.database.url);
      url.username = role.name;
      url.password = database;
      return {
        DATABASE_URL: `${url.href}\n`,
        REDIS_URL: `redis://:${password}@${redis.host}:${redis.port}\n`,
        AUTOMATION_SERVICE_KEY: `${serviceKey}\n`,
      };
    };

    await put(first);
    await using volume = await SecretVolume.create(files(first));
    const names = Object.keys(files(first));
    const unset = Object.fromEntries(names.map((name) => [name, ""]));
    const bashCommandId = randomCommandId();
    const run = await world.seed(
      { bashCommandId },
      { outputs: [exitedWith(0, { bashCommandId })] },
    );
    await using worker = await startWorker({
      ...world.env,
      ...unset,
      ...volume.env(...names),
      ...OFTEN,
    });
    await untilReady(worker);
    await world.host.traffic.until("mint", 1);
    expect((await world.row(run.id)).status).toBe("RUNNING");

    await volume.swap(files(second));
    await put(second);
    await vi.waitFor(
      async () => expect((await world.row(run.id)).status).toBe("COMPLETED"),
      WITHIN,
    );
    await untilReady(worker);

    worker.kill();
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    const said = worker.stdout() + worker.stderr();
    for (const secret of [...Object.values(first), ...Object.values(second)]) {
      expect(said).not.toContain(secret);
    }
    expect(said).not.toContain("cannot be read anew");
  });
});

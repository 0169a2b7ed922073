import { connect } from "node:net";
import { Redis } from "ioredis";
import postgres from "postgres";
import { describe, expect, inject, it } from "vitest";
import { createDatabase } from "../services/postgres/database.ts";
import { startRedis } from "../services/redis/redis.ts";

describe("createDatabase", () => {
  it("makes the host's tables and the worker's schema, unless told otherwise", async () => {
    await using full = await createDatabase();
    await using empty = await createDatabase({ hostTables: false, migrate: false });
    const tables = (database: typeof full) => database.sql`
      SELECT to_regclass('automation_runs') IS NOT NULL AS host,
             to_regclass('watchdog.verdicts') IS NOT NULL AS own`;
    expect(await tables(full)).toEqual([{ host: true, own: true }]);
    expect(await tables(empty)).toEqual([{ host: false, own: false }]);
  });

  it("drops the database afterwards although somebody is still connected", async () => {
    const database = await createDatabase({ hostTables: false, migrate: false });
    const straggler = postgres(database.url, { max: 1, onnotice: () => undefined });
    await straggler`SELECT 1`;
    await database[Symbol.asyncDispose]();
    const admin = postgres(inject("postgresUrl"), { max: 1 });
    expect(await admin`SELECT FROM pg_database WHERE datname = ${database.name}`).toHaveLength(0);
    await Promise.all([admin.end(), straggler.end({ timeout: 0 })]);
  });
});

describe("startRedis", () => {
  it("comes back empty and on the same port after a restart", async () => {
    await using server = await startRedis();
    const { url } = server;
    expect(await ask(url, (redis) => redis.set("key", "value"))).toBe("OK");
    await server.restart();
    expect(server.url).toBe(url);
    expect(await ask(url, (redis) => redis.get("key"))).toBeNull();
  });

  it("accepts connections and stays silent while it is paused", async () => {
    await using server = await startRedis();
    server.pause();
    const socket = connect(server.port, server.host);
    let heard = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      heard += text;
    });
    await new Promise((resolve) => socket.write("PING\r\n", resolve));
    expect(heard).toBe("");
    const answer = new Promise((resolve) => socket.once("data", resolve));
    server.resume();
    expect(await answer).toBe("+PONG\r\n");
    socket.destroy();
  });

  it("leaves no process behind when it is stopped, running, paused or killed", async () => {
    for (const before of ["running", "paused", "killed"] as const) {
      const server = await startRedis();
      const { pid } = server;
      if (before === "paused") server.pause();
      if (before === "killed") await server.kill();
      await server.stop();
      await server.stop();
      expect(() => process.kill(pid ?? 0, 0)).toThrow("ESRCH");
    }
  });
});

async function ask<T>(url: string, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { lazyConnect: true });
  await redis.connect();
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}

import { findProgram, type LocalProgram } from "../local-program.ts";

export type RedisProgram = LocalProgram;

export async function findRedis(): Promise<RedisProgram> {
  try {
    return await findProgram({
      names: ["redis-server", "valkey-server"],
      package: "redis-server",
      companions: ["redis-tools"],
      path: "usr/bin/redis-server",
    });
  } catch (error) {
    throw new Error(
      `the tests need Redis: install redis-server, start Docker, or set TEST_REDIS_URL (${error instanceof Error ? error.message : error})`,
      { cause: error },
    );
  }
}

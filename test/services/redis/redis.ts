import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import "../provided.ts";
import { RedisServer } from "./server.ts";

/** The Redis that all test files share: use keys of your own, never FLUSHALL. */
export function redisUrl(): string {
  return inject("redisUrl");
}

/** Starts the keys of one test file. */
export function keyPrefix(): string {
  return `test-${randomBytes(6).toString("hex")}:`;
}

/**
 * A Redis of the test's own, to flush, pause and kill.
 *
 * @param args for redis-server, besides what an empty one without persistence needs.
 */
export async function startRedis(args: readonly string[] = []): Promise<RedisServer> {
  const program = inject("redisProgram");
  if (program === null) {
    throw new Error("this test kills its Redis and needs a local redis-server: install one");
  }
  return RedisServer.start(program, args);
}

import { readBackend } from "./backend.ts";
import { type Config, ConfigError, parsePart } from "./config.ts";
import { readDatabase } from "./database.ts";
import type { Env, EnvReader } from "./env/env-reader.ts";
import { EnvSecret } from "./env/reloadable-secret.ts";
import { readLease } from "./lease.ts";
import { readRedis } from "./redis.ts";
import { readSweep } from "./sweep.ts";
import { readProxy } from "./urls/proxy.ts";

/** What can be used of a configuration that has problems: each is `null` where the problem lies in it. */
export interface ConfigParts {
  readonly database: Pick<Config, "database"> | null;
  readonly redis: Pick<Config, "redis" | "lease"> | null;
  readonly backend: Pick<Config, "backend" | "sweep" | "proxy"> | null;
}

export function readParts(env: Env, readFile: (path: string) => string): ConfigParts {
  const part = <T extends object>(read: (reader: EnvReader) => T): T | null => {
    try {
      return parsePart(env, readFile, read).config;
    } catch (error) {
      if (error instanceof ConfigError) return null;
      throw error;
    }
  };
  return {
    database: part((reader) => ({ database: readDatabase(reader) })),
    redis: part((reader) => ({ redis: readRedis(reader), lease: readLease(reader) })),
    backend: part((reader) => ({
      backend: readBackend(reader),
      sweep: readSweep(reader),
      proxy: new EnvSecret(reader, readProxy),
    })),
  };
}

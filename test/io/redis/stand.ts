/** A lease on a real or scripted Redis, and a look behind it. */
import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { Redis } from "ioredis";
import { expect, onTestFinished } from "vitest";
import type { RedisConnectionOptions } from "../../../src/io/redis/connection.ts";
import { RedisLease } from "../../../src/io/redis/lease.ts";
import { LeaseUnavailableError } from "../../../src/watchdog/errors.ts";

export const TTL_MS = 60_000;
export const NEVER_MS = 600_000;
/** For tests that wait for the bounds; whatever is to succeed within them still has time on a busy machine. */
export const IMPATIENT = { commandTimeoutMs: 1000, connectTimeoutMs: 1500 };
export const PATIENT = { commandTimeoutMs: 10_000, connectTimeoutMs: 10_000 };

/** A lease under test and a plain client to look behind it; both are closed after the test. */
export function setup(url: string, changes: Partial<RedisConnectionOptions> = {}) {
  const installation = randomUUID();
  const key = keyOf(installation);
  const lease = new RedisLease(() => ({ ...optionsFor(url), ...PATIENT, ...changes }));
  const raw = rawClient(url);
  onTestFinished(async () => {
    await lease[Symbol.asyncDispose]();
    if (raw.status === "ready") await raw.del(key).catch(() => undefined);
  });
  return { lease, raw, installation, key };
}

/** Written out: people and other programs know it. */
export function keyOf(installation: string): string {
  return `watchdog:{${installation}}:lease`;
}

/** Connects with its first command; ended after the test. */
export function rawClient(url: string): Redis {
  const raw = new Redis(url, { lazyConnect: true });
  raw.on("error", () => undefined);
  onTestFinished(() => raw.disconnect());
  return raw;
}

export function optionsFor(text: string) {
  const url = new URL(text);
  return {
    host: url.hostname,
    port: Number(url.port || 6379),
    tls: url.protocol === "rediss:",
    user: url.username || null,
    password: url.password || null,
    database: Number(url.pathname.slice(1)),
  };
}

export async function expectUnavailable(
  call: Promise<unknown>,
  message = /./,
): Promise<LeaseUnavailableError> {
  const error = await call.then(
    (value) => expect.unreachable(`settled with ${inspect(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof LeaseUnavailableError)) throw error;
  expect(error.message).toMatch(message);
  expect(error.cause).toBeInstanceOf(Error);
  return error;
}

/** The ids of the connections that call themselves run-watchdog. */
export async function connectionsOf(raw: Redis): Promise<readonly string[]> {
  const list = String(await raw.client("LIST"));
  const own = list.split("\n").filter((line) => line.includes(" name=run-watchdog "));
  return own.map((line) => /^id=(\d+)/.exec(line)?.[1] ?? "?");
}

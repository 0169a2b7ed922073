import type { Redis } from "ioredis";
import type { ClockReading } from "../../rules/clock-skew.ts";

/** Rejects where the server does not tell: not every user may ask, and not every proxy knows the command. */
export async function readTime(redis: Redis, nowMs: () => number): Promise<ClockReading> {
  const sentMs = nowMs();
  const [seconds, microseconds] = (await redis.time()).map(Number);
  const theirMs = (seconds ?? 0) * 1000 + (microseconds ?? 0) / 1000;
  return { theirMs, sentMs, receivedMs: nowMs(), precisionMs: 1 };
}

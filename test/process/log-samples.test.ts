/** The log that docs/operating.md shows is one that a worker writes: messages, levels and fields. */
import { describe, expect, it } from "vitest";
import { readableLines } from "../../src/io/log.ts";
import type { Log } from "../../src/watchdog/ports.ts";
import { SweepLog } from "../../src/watchdog/worker/sweep-log.ts";
import { aReport } from "../report/a-report.ts";
import { startRedis } from "../services/redis/redis.ts";
import { leaseKey, withRedis } from "../support/process/contending-workers.ts";
import { type LogLine, startWorker } from "../support/process/worker-process.ts";
import { readDocument } from "../support/shell-blocks.ts";
import { holdLookups } from "../support/world/end-of-runs.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld } from "../support/world/world.ts";

/** Learns soon that its lease is lost, and not only because the machine is busy. */
const SETTINGS = {
  WATCHDOG_SCHEDULE: "* * * * * *",
  WATCHDOG_DEFER: "1s",
  WATCHDOG_LEASE_RENEW: "500ms",
  WATCHDOG_CONFIRMATIONS: "2",
  WATCHDOG_GUARD_MIN: "0",
};

const [, samples = ""] =
  /^### What it looks like$(.*?)^##/ms.exec(readDocument("docs/operating.md")) ?? [];
const shown = samples.split("\n").filter((line) => line.startsWith("{"));

describe("the samples of the log in docs/operating.md", () => {
  it("are of every line that matters", () => {
    const lines = shown.map((line): LogLine => JSON.parse(line));
    expect(new Set(lines.map(({ msg }) => msg))).toEqual(
      new Set([
        ...["health endpoint is up", "run-watchdog is up"],
        ...["run ended", "run suspected", "run held back by the guard"],
        ...["sweep finished", "sweeps found nothing new", "the guard holds verdicts back"],
        ...["lease lost", "sweep failed", "not ready", "stores answer again"],
        ...["stopping, writes in flight end first", "run-watchdog has stopped"],
      ]),
    );
  });

  it("are what a worker writes that ends, suspects and holds runs, and loses its lease, and of one without Redis", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    await seedExited(world, 137);
    await world.seed({}, { status: "MISSING" });
    const env = { ...world.env, ...SETTINGS, REDIS_URL: redis.url };
    await using worker = await startWorker(env);
    await worker.waitForLog("run held back by the guard");

    const questions = holdLookups(world);
    world.host.traffic.reset();
    await seedExited(world, 0);
    await questions.asked(1);
    await withRedis(redis.url, async (client) => client.del(await leaseKey(world)));
    await worker.waitForLog("lease lost");
    questions.answer();
    worker.kill();
    expect((await worker.exited).code).toBe(0);

    await redis.kill();
    await using next = await startWorker(env);
    await next.waitForLog("not ready");
    await redis.start();
    await next.waitForLog("stores answer again");

    const written = new Set([...worker.logs, ...next.logs, heartbeat()].map(shapeOf));
    const untrue = shown.filter((line) => !written.has(shapeOf(JSON.parse(line))));
    expect(untrue).toEqual([]);
  });

  it("are shown to people as they are written to a terminal", () => {
    const readable = shown.map((line) => withoutTime(readableLines(false)(`${line}\n`)));
    const lines = samples.split("\n").filter((line) => line.startsWith("["));
    expect(lines.length).toBeGreaterThan(4);
    expect(lines.filter((line) => !readable.includes(withoutTime(line)))).toEqual([]);
  });
});

/** The line of a worker that has had nothing to say for ten minutes. */
function heartbeat(): LogLine {
  let nowMs = 0;
  let said: LogLine | null = null;
  const info: Log["info"] = (fields, msg) => {
    said = { level: "info", time: "", ...fields, msg };
  };
  const log = new SweepLog(
    { info, debug() {}, warn() {}, error() {} },
    { monotonicMs: () => nowMs },
  );
  nowMs = 600_000;
  log.swept(aReport());
  return said ?? expect.fail("no heartbeat");
}

/** Message, level, and the names of all fields, however deep. */
function shapeOf(line: LogLine): string {
  return JSON.stringify([line.level, line.msg, fieldsOf(line)]);
}

function fieldsOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return null;
  return Object.entries(value).map(([name, field]) => [name, fieldsOf(field)]);
}

function withoutTime(line: string): string {
  return line.trimEnd().replace(/^\[[\d:.]+\] /, "");
}

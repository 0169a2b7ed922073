/** docs/operating.md promises what happens when things go wrong; here stands which tests hold it to that. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const PROVED_BY: Readonly<Record<string, readonly string[]>> = {
  "the backend is down": [
    "replays/agent-servers-502.test.ts",
    "io/openhands/cloud-gate.test.ts",
    "watchdog/sweep/skipped-runs.test.ts",
  ],
  "it answers 429": [
    "replays/rate-limit-storm.test.ts",
    "replays/one-tenants-429.test.ts",
    "io/api-gate/adaptive-limit.test.ts",
    "watchdog/lead/leader-sweep-throttle.test.ts",
  ],
  "it rejects valid keys (401)": [
    "replays/valid-keys-refused.test.ts",
    "io/openhands/keys.test.ts",
  ],
  "it says that every sandbox is gone": ["replays/empty-lists-for-everybody.test.ts"],
  "really all sandboxes were stopped": ["replays/mass-stop.test.ts"],
  "an agent server hangs": [
    "watchdog/sweep/confirmations.test.ts",
    "app/hostile-neighbours.test.ts",
  ],
  "Redis is down": ["process/outages/redis.test.ts"],
  "Redis forgets the lease": [
    "process/outages/redis-lost-key.test.ts",
    "io/redis/outages.test.ts",
    "process/takeover/redis.test.ts",
  ],
  "Postgres is down": [
    "replays/postgres-away-for-a-minute.test.ts",
    "process/outages/postgres.test.ts",
    "io/postgres/pooler.test.ts",
  ],
  "Postgres answers late": [
    "io/postgres/connection/left-behind.test.ts",
    "watchdog/sweep/late-writes.test.ts",
    "process/outages/postgres.test.ts",
  ],
  "clocks differ": ["replays/clocks-five-minutes-apart.test.ts"],
  "two workers lead": ["races/two-watchdogs.test.ts", "app/cleanup/shared.test.ts"],
  "somebody pauses all workers": [
    "races/pause.test.ts",
    "process/pause/pause.test.ts",
    "watchdog/lead/pause.test.ts",
    "watchdog/worker/worker-pause.test.ts",
  ],
  "a worker observes": [
    "process/pause/observe.test.ts",
    "watchdog/worker/worker-observe.test.ts",
    "io/postgres/without-memory.test.ts",
  ],
  "a worker is killed": ["process/takeover/takeover.test.ts", "app/cleanup/resume.test.ts"],
  "the log cannot be written": ["io/log-sink.test.ts", "process/unwritable-output.test.ts"],
  "the platform's own watchdog is parked": ["app/cleanup/stamped.test.ts"],
  "the platform's own watchdog runs too": ["app/cleanup/deferred.test.ts"],
  "a row cannot be written": [
    "watchdog/sweep/run-trouble.test.ts",
    "io/postgres/substrate/refused-writes.test.ts",
  ],
  "the database is not UTF-8": ["io/postgres/connection/connection-encodings.test.ts"],
};

describe("what happens when", () => {
  const operating = readFileSync(join(import.meta.dirname, "..", "docs", "operating.md"), "utf8");
  const [, section = ""] = operating.split("\n## What happens when\n");
  const [table = ""] = section.split("\n## ");
  const rows = table.split("\n").filter((line) => line.startsWith("| "));
  const cases = rows.slice(2).map((line) => line.split("|")[1]?.trim() ?? "");

  it("has a test for every line of the table", () => {
    expect(cases.length).toBeGreaterThan(5);
    expect(cases.filter((name) => PROVED_BY[name] === undefined)).toEqual([]);
    expect(Object.keys(PROVED_BY).filter((name) => !cases.includes(name))).toEqual([]);
  });

  it("names tests that are there", () => {
    const files = Object.values(PROVED_BY).flat();
    const missing = files.filter((file) => !existsSync(join(import.meta.dirname, file)));
    expect(missing).toEqual([]);
  });
});

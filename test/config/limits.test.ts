import { describe, expect, it } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { configWith, problemsWith } from "../support/process/config-env.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

interface Limit {
  readonly name: string;
  readonly read: (config: Config) => unknown;
  /** Accepted text and what becomes of it: both ends, and odd forms. */
  readonly good: readonly (readonly [string, unknown])[];
  readonly bad: readonly string[];
  readonly wanted: string;
}

const limits: readonly Limit[] = [
  {
    name: "WATCHDOG_LEASE_TTL",
    read: (config) => config.lease.ttlMs,
    good: [
      ["10001ms", 10_001],
      ["10m", 600_000],
    ],
    bad: ["999ms", "600001ms", "11m", "15", "15 s", "-15s", "1.5s", "15S", "s", "1e3ms", "0x10s"],
    wanted: "must be a duration from 1s to 10m such as 15s (units ms, s, m, h, d)",
  },
  {
    name: "WATCHDOG_LEASE_RENEW",
    read: (config) => config.lease.renewMs,
    good: [
      ["100ms", 100],
      ["7s", 7_000],
    ],
    bad: ["99ms", "301s"],
    wanted: "must be a duration from 100ms to 5m",
  },
  {
    name: "WATCHDOG_LEASE_MARGIN",
    read: (config) => config.lease.marginMs,
    good: [
      ["50ms", 50],
      ["9s", 9_000],
    ],
    bad: ["49ms", "301s"],
    wanted: "must be a duration from 50ms to 5m",
  },
  {
    name: "WATCHDOG_SHARDS",
    read: (config) => config.shards,
    good: [
      ["1", 1],
      ["64", 64],
    ],
    bad: ["0", "65", "2.5", "many"],
    wanted: "must be a whole number from 1 to 64",
  },
  {
    name: "WATCHDOG_CONCURRENCY",
    read: (config) => config.sweep.concurrency,
    good: [
      ["1", 1],
      ["512", 512],
    ],
    bad: ["0", "513", "1.5", "-1", "1e2", "many", "0x10", "９"],
    wanted: "must be a whole number from 1 to 512",
  },
  {
    name: "WATCHDOG_API_CONCURRENCY",
    read: (config) => config.sweep.apiConcurrency,
    good: [
      ["1", 1],
      ["512", 512],
    ],
    bad: ["0", "513"],
    wanted: "must be a whole number from 1 to 512",
  },
  {
    name: "WATCHDOG_PAGE_SIZE",
    read: (config) => config.sweep.pageSize,
    good: [
      ["1", 1],
      ["10000", 10_000],
    ],
    bad: ["0", "10001"],
    wanted: "must be a whole number from 1 to 10000",
  },
  {
    name: "WATCHDOG_DB_POOL",
    read: (config) => config.database.poolSize,
    good: [
      ["1", 1],
      ["100", 100],
    ],
    bad: ["0", "101"],
    wanted: "must be a whole number from 1 to 100",
  },
  {
    name: "WATCHDOG_DB_POOLER",
    read: (config) => config.database.pooler,
    good: [
      ["on", "on"],
      ["OFF", "off"],
      ["auto", "auto"],
    ],
    bad: ["true", "yes"],
    wanted: "must be one of auto, on, off",
  },
  {
    name: "WATCHDOG_VERIFY_TIMEOUT",
    read: (config) => config.sweep.verifyTimeoutMs,
    good: [
      ["1s", 1_000],
      ["5m", 300_000],
    ],
    bad: ["999ms", "301s"],
    wanted: "must be a duration from 1s to 5m",
  },
  {
    name: "WATCHDOG_DEFER",
    read: (config) => config.sweep.deferMs,
    good: [
      ["1s", 1_000],
      ["15m", 900_000],
    ],
    bad: ["999ms", "901s"],
    wanted: "must be a duration from 1s to 15m",
  },
  {
    name: "WATCHDOG_NULL_DEADLINE_AFTER",
    read: (config) => config.sweep.nullDeadlineAfterMs,
    good: [
      ["1m", MINUTE_MS],
      ["30d", 30 * DAY_MS],
    ],
    bad: ["59s", "721h"],
    wanted: "must be a duration from 1m to 30d",
  },
  {
    name: "WATCHDOG_UNVERIFIABLE_AFTER",
    read: (config) => config.guard.unverifiableAfterMs,
    good: [
      ["1m", MINUTE_MS],
      ["720h", 30 * DAY_MS],
    ],
    bad: ["59s", "721h"],
    wanted: "must be a duration from 1m to 30d",
  },
  {
    name: "WATCHDOG_CONFIRMATIONS",
    read: (config) => config.guard.confirmations,
    good: [
      ["1", 1],
      ["10", 10],
    ],
    bad: ["0", "11"],
    wanted: "must be a whole number from 1 to 10",
  },
  {
    name: "WATCHDOG_GUARD_MIN",
    read: (config) => config.guard.min,
    good: [
      ["0", 0],
      ["10000", 10_000],
    ],
    bad: ["-1", "10001"],
    wanted: "must be a whole number from 0 to 10000",
  },
  {
    name: "WATCHDOG_GUARD_RATIO",
    read: (config) => config.guard.ratio,
    good: [
      ["0", 0],
      [".5", 0.5],
      ["1.0", 1],
    ],
    bad: ["1.01", "-0.1", "25%", ".", "1e-1", "0,25"],
    wanted: "must be a number from 0 to 1",
  },
  {
    name: "WATCHDOG_GUARD_PER_HOUR",
    read: (config) => config.guard.perHour,
    good: [
      ["1", 1],
      ["100000", 100_000],
    ],
    bad: ["0", "100001"],
    wanted: "must be a whole number from 1 to 100000",
  },
  {
    name: "WATCHDOG_CLEANUP_DELAY",
    read: (config) => config.cleanup.cleanupDelayMs,
    good: [
      ["0s", 0],
      ["24h", DAY_MS],
    ],
    bad: ["0", "1441m"],
    wanted: "must be a duration from 0s to 24h",
  },
  {
    name: "WATCHDOG_JOURNAL_RETENTION",
    read: (config) => config.cleanup.journalRetentionMs,
    good: [
      ["1d", DAY_MS],
      ["3650d", 3_650 * DAY_MS],
    ],
    bad: ["23h", "3651d", "99999999999999999999d"],
    wanted: "must be a duration from 1d to 3650d",
  },
  ...(
    [
      ["AUTOMATION_DEFAULT_RUN_DURATION", "defaultRunMs"],
      ["AUTOMATION_MAX_RUN_DURATION", "maxRunMs"],
      ["AUTOMATION_SANDBOX_READY_TIMEOUT", "readyTimeoutMs"],
      ["AUTOMATION_RUN_TIMEOUT_HARD_GRACE", "hardGraceMs"],
    ] as const
  ).map(
    ([name, field]): Limit => ({
      name,
      read: (config) => config.verdict[field],
      good: [
        ["0", 0],
        ["-0", 0],
        ["-45", -45_000],
        ["+5", 5_000],
        [" 600\t", 600_000],
        ["1_000", 1_000_000],
        ["-1_0", -10_000],
        ["007", 7_000],
        ["5.00", 5_000],
        ["100000000000", 100_000_000_000_000],
        ["-100000000000", -100_000_000_000_000],
      ],
      bad: [
        "100000000001",
        "-100000000001",
        "1e400",
        "600s",
        "1.5",
        "5.",
        ".0",
        "1e3",
        "0x10",
        "+-5",
        "- 5",
        "1__0",
        "_1",
        "1_",
        "true",
        "９",
      ],
      wanted: "must be a whole number of seconds from -100000000000 to 100000000000",
    }),
  ),
  {
    name: "AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS",
    read: (config) => config.cleanup.hostCleanupDelayMs,
    good: [
      ["0", 0],
      ["3600", 3_600_000],
      ["+1_0", 10_000],
      ["100000000000", 100_000_000_000_000],
    ],
    bad: ["-1", "100000000001", "1h", "0.5"],
    wanted: "must be a whole number of seconds from 0 to 100000000000",
  },
  {
    name: "WATCHDOG_HEALTH_HOST",
    read: (config) => config.health.host,
    good: [
      ["127.0.0.1", "127.0.0.1"],
      ["::", "::"],
      ["localhost", "localhost"],
    ],
    bad: ["[::1]", "0.0.0.0:9464", "a b", "http://localhost"],
    wanted: "must be an address or host name to listen on, without brackets or port",
  },
  {
    name: "WATCHDOG_HEALTH_PORT",
    read: (config) => config.health.port,
    good: [
      ["0", 0],
      ["65535", 65_535],
      ["off", null],
      ["OFF", null],
    ],
    bad: ["65536", "-1", "on", "none"],
    wanted: "must be a whole number from 0 to 65535 or off",
  },
  {
    name: "LOG_LEVEL",
    read: (config) => config.log.level,
    good: [
      ["trace", "trace"],
      ["DEBUG", "debug"],
      ["Info", "info"],
      ["WARN", "warn"],
      ["WARNING", "warn"],
      ["error", "error"],
      ["fatal", "fatal"],
      ["CRITICAL", "fatal"],
      ["silent", "silent"],
    ],
    bad: ["loud", "30"],
    wanted: "must be one of trace, debug, info, warn, warning, error, fatal, critical, silent",
  },
  {
    name: "LOG_FORMAT",
    read: (config) => config.log.format,
    good: [
      ["json", "json"],
      ["pretty", "pretty"],
      ["auto", null],
    ],
    bad: ["text"],
    wanted: "must be one of json, pretty, auto",
  },
];

for (const { name, read, good, bad, wanted } of limits) {
  describe(name, () => {
    for (const [text, value] of good) {
      it(`${name} accepts ${text}`, () => {
        expect(read(configWith({ [name]: text }).config)).toBe(value);
      });
    }
    for (const text of bad) {
      it(`${name} refuses ${text}`, () => {
        const [problem, ...others] = problemsWith({ [name]: text });
        expect(problem).toContain(`${name} ${wanted}`);
        expect(problem).toContain(`got ${JSON.stringify(text)}`);
        expect(others).toEqual([]);
      });
    }
  });
}

/**
 * Every environment variable that the worker reads, with its default and its limits. The readers accept no other name.
 * `docs/settings.md` is made of this table: a `//` line begins a section, a comment tells the meaning of the names below it.
 */
import { MOST_SHARDS } from "../../rules/fleet/shard.ts";

export type DurationText = `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/** About 3,000 years: four times that after any start is still a date. */
const LONGEST_S = 100_000_000_000;

export const SETTINGS = {
  // Postgres
  /**
   * Required, unless the platform's own variables below name the database. `postgres://user:password@host:5432/database`.
   * SQLAlchemy's schemes and `sslmode` are understood. It must not choose a schema or a `search_path`: those of the
   * database user apply.
   */
  DATABASE_URL: secret(null),
  /** The platform's own URL, used when `DATABASE_URL` is not set. */
  AUTOMATION_DB_URL: secret(null),
  /** The platform's own parts of an address, used when no URL is set: a host name, or the directory of a Unix socket. */
  AUTOMATION_DB_HOST: text(null),
  /** Goes with `AUTOMATION_DB_HOST`. */
  AUTOMATION_DB_PORT: number("port", 5432, 1, 65_535),
  AUTOMATION_DB_NAME: text("automations"),
  AUTOMATION_DB_USER: text("postgres"),
  AUTOMATION_DB_PASS: secret("postgres"),
  /** Goes with `AUTOMATION_DB_HOST`: an `sslmode` as in libpq. The first of three that is set counts, else `prefer`. */
  AUTOMATION_DB_SSL_MODE: text(null),
  DB_SSL_MODE: text(null),
  PGSSLMODE: text(null),
  /** Connections to Postgres. A lease that is kept in Postgres has one more of its own. */
  WATCHDOG_DB_POOL: number("integer", 8, 1, 100),
  /**
   * Whether a transaction pooler such as PgBouncer stands before Postgres: `on` says so, `off` says that there is none,
   * `auto` finds out.
   */
  WATCHDOG_DB_POOLER: choice("auto", ["auto", "on", "off"]),

  // Schedule and lease
  /**
   * `observe` judges, logs and counts as usual and writes nothing: `run` and `once` show what they would do, with nothing
   * but `SELECT` on the platform's two tables. `live` writes.
   */
  WATCHDOG_MODE: choice("live", ["live", "observe"]),
  /** A cron pattern in UTC: five fields, or six with seconds first. */
  WATCHDOG_SCHEDULE: text("* * * * *"),
  /** `redis://` or `rediss://` with one endpoint. Without it the lease is kept in Postgres. */
  REDIS_URL: secret(null),
  /** How long a lease lasts that is not renewed. Longer than twice `WATCHDOG_LEASE_RENEW`. */
  WATCHDOG_LEASE_TTL: duration("15s", "1s", "10m"),
  /** How often the holder renews its lease. */
  WATCHDOG_LEASE_RENEW: duration("5s", "100ms", "5m"),
  /**
   * How much earlier than the lease store the holder stops trusting its lease. Shorter than `WATCHDOG_LEASE_TTL` minus
   * `WATCHDOG_LEASE_RENEW`.
   */
  WATCHDOG_LEASE_MARGIN: duration("2s", "50ms", "5m"),
  /**
   * Into how many shards the runs are divided. Workers lead them side by side, each as many as it can get. The same for
   * all workers, see [more than one process](operating.md#more-than-one-process).
   */
  WATCHDOG_SHARDS: number("integer", 1, 1, MOST_SHARDS),

  // The sweep
  /**
   * How many runs a worker asks about at once, in all its shards together. In cloud mode the sandboxes of half as many
   * more are looked up meanwhile.
   */
  WATCHDOG_CONCURRENCY: number("integer", 16, 1, 512),
  /**
   * How many calls go at once to the API that all runs share: keys, look-ups, deletions. With several shards it is
   * divided among the workers, and each has at least one.
   */
  WATCHDOG_API_CONCURRENCY: number("integer", 8, 1, 512),
  /** How many run ids one read of the table returns. */
  WATCHDOG_PAGE_SIZE: number("integer", 500, 1, 10_000),
  /** How long the verification of one run may take, counted from the moment it has a slot. */
  WATCHDOG_VERIFY_TIMEOUT: duration("30s", "1s", "5m"),
  /**
   * How long until a run that stays `RUNNING` is looked at again. Keep it shorter than the interval of the schedule, so
   * that the next tick asks again.
   */
  WATCHDOG_DEFER: duration("45s", "1s", "15m"),
  /** How long after its start a run without a deadline counts as stale. */
  WATCHDOG_NULL_DEADLINE_AFTER: duration("24h", "1m", "30d"),

  // Verdicts and guard
  /** How often a presumption must be seen before it may be written. */
  WATCHDOG_CONFIRMATIONS: number("integer", 2, 1, 10),
  /** Presumptions count as a mass failure when there are more than this many, and more than the share below. */
  WATCHDOG_GUARD_MIN: number("integer", 5, 0, 10_000),
  /** Presumptions count as a mass failure when they exceed this share of the answered runs, and the number above. */
  WATCHDOG_GUARD_RATIO: number("decimal", 0.25, 0, 1),
  /**
   * How many presumptions are written in an hour, or `WATCHDOG_GUARD_RATIO` of the verdicts proven in the last hour where
   * that is more.
   */
  // Not 0: with a cap of none, a dead run would stay RUNNING for ever.
  WATCHDOG_GUARD_PER_HOUR: number("integer", 60, 1, 100_000),
  /**
   * After how long without any usable answer a run is given up, once it is past its hard deadline. A presumption that the
   * guard holds back is written this long after its hard deadline.
   */
  WATCHDOG_UNVERIFIABLE_AFTER: duration("24h", "1m", "30d"),
  /**
   * How long a run may take when its automation does not say. Like the next three it belongs to the platform and is read
   * as the platform reads it, 0 and negative numbers included.
   */
  AUTOMATION_DEFAULT_RUN_DURATION: number("seconds", 600, -LONGEST_S, LONGEST_S),
  /** How long a run may take at most. */
  AUTOMATION_MAX_RUN_DURATION: number("seconds", 1_800, -LONGEST_S, LONGEST_S),
  /** How long a sandbox may take to be ready. */
  AUTOMATION_SANDBOX_READY_TIMEOUT: number("seconds", 300, -LONGEST_S, LONGEST_S),
  /** How long after its timeout a run reaches its hard deadline. */
  AUTOMATION_RUN_TIMEOUT_HARD_GRACE: number("seconds", 600, -LONGEST_S, LONGEST_S),

  // Clean-up
  /**
   * How long the sandbox of a run that was presumed dead is spared, and the failure not recorded as its automation's
   * `first_run`.
   */
  WATCHDOG_CLEANUP_DELAY: duration("5m", "0s", "24h"),
  /**
   * Belongs to the platform: how long after the end of a run its sandbox is deleted. It is paused until then, see [what
   * becomes of the sandbox](verdicts.md#what-becomes-of-the-sandbox).
   */
  AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS: number("seconds", 0, 0, LONGEST_S),
  /** How long verdicts stay in the journal, unless a deletion is still pending. */
  // A day at least: the guard counts the last hour in the journal, so that much must never be gone.
  WATCHDOG_JOURNAL_RETENTION: duration("90d", "1d", "3650d"),

  // The backend
  /**
   * Who is asked about a run. `auto` takes `agent-server` when `AUTOMATION_AGENT_SERVER_URL` is set, else
   * `openhands-cloud`.
   */
  WATCHDOG_BACKEND: choice("auto", ["auto", "openhands-cloud", "agent-server", "http"]),
  /** Required for `openhands-cloud`: where the API of OpenHands is. */
  AUTOMATION_OPENHANDS_API_BASE_URL: text(null),
  /** Required for `openhands-cloud`: the key for that API. */
  AUTOMATION_SERVICE_KEY: secret(null),
  /**
   * For `openhands-cloud`: suffixes of the host names that sandboxes may have, separated by commas. Any host is allowed
   * when it is not set.
   */
  WATCHDOG_AGENT_HOSTS: text(null),
  /** Required for `agent-server`: the agent server that all runs share. */
  AUTOMATION_AGENT_SERVER_URL: text(null),
  /** For `agent-server`: the key for it. */
  AUTOMATION_AGENT_SERVER_API_KEY: secret(null),
  /**
   * Required for `http`: the URL that is asked about a run. It holds `{run_id}`, and may hold `{sandbox_id}` and
   * `{bash_command_id}`.
   */
  WATCHDOG_HTTP_VERIFY_URL: text(null),
  /** For `http`: the URL to which a `DELETE` is sent. It holds `{sandbox_id}`. Nothing is deleted without it. */
  WATCHDOG_HTTP_CLEANUP_URL: text(null),
  /** For `http`: the bearer token for both URLs. */
  WATCHDOG_HTTP_TOKEN: secret(null),

  // Health and log
  /** Where the health endpoint listens. `::` is every address, IPv4 and IPv6. */
  WATCHDOG_HEALTH_HOST: text("::"),
  /**
   * The port of the health endpoint. `0` takes a free one, `off` does without. `run` ends with exit code 2 where it
   * cannot listen.
   */
  WATCHDOG_HEALTH_PORT: number("port-or-off", 9_464, 0, 65_535),
  /** The least important messages that are logged. Python's words are understood, because the platform reads it too. */
  LOG_LEVEL: choice("info", [
    "trace",
    "debug",
    "info",
    "warn",
    "warning",
    "error",
    "fatal",
    "critical",
    "silent",
  ]),
  /** `auto` is `pretty` on a terminal, else `json`. */
  LOG_FORMAT: choice("auto", ["json", "pretty", "auto"]),

  // Proxies
  /** The proxy for calls to the backend, such as `http://proxy.example.com:3128`. The lower-case name wins. */
  HTTP_PROXY: text(null),
  http_proxy: text(null),
  /** The proxy for `https`; without it the one above is for both. The lower-case name wins. */
  HTTPS_PROXY: text(null),
  https_proxy: text(null),
  /**
   * What is called without a proxy, separated by commas: names with all below them, `*.example.com`, addresses, ranges
   * (`10.0.0.0/8`), ports, and `*`. The lower-case name wins.
   */
  NO_PROXY: text(null),
  no_proxy: text(null),
  /** Not used: a warning says to set `HTTP_PROXY` and `HTTPS_PROXY`. */
  ALL_PROXY: text(null),
  all_proxy: text(null),
} as const;

export type VariableName = keyof typeof SETTINGS;
export type Kind = (typeof SETTINGS)[VariableName]["kind"];
/** The names of the settings of one kind. */
export type NameOf<K extends Kind> = {
  [N in VariableName]: (typeof SETTINGS)[N]["kind"] extends K ? N : never;
}[VariableName];
/** May also come from the file that `<NAME>_FILE` names. */
export type SecretName = NameOf<"secret">;
export type SettingName = Exclude<VariableName, SecretName>;

/** `null`: there is no default. */
function text<const D extends string | null>(fallback: D) {
  return { kind: "text", default: fallback } as const;
}

function secret<const D extends string | null>(fallback: D) {
  return { kind: "secret", default: fallback } as const;
}

function choice<const W extends string>(fallback: NoInfer<W>, words: readonly W[]) {
  return { kind: "choice", default: fallback, words } as const;
}

/** The smallest and the largest value are allowed themselves. */
function duration(fallback: DurationText, min: DurationText, max: DurationText) {
  return { kind: "duration", default: fallback, min, max } as const;
}

function number<const K extends NumberKind>(kind: K, fallback: number, min: number, max: number) {
  return { kind, default: fallback, min, max } as const;
}

export type NumberKind = "integer" | "decimal" | "seconds" | "port" | "port-or-off";

/** Every variable the worker reads. The reader accepts no other name, so this list cannot lag behind. */
import { closestMatch } from "leven";

/** Also read from the file that `<NAME>_FILE` points to. */
export const SECRET_NAMES = [
  "DATABASE_URL",
  "AUTOMATION_DB_URL",
  "AUTOMATION_DB_PASS",
  "REDIS_URL",
  "AUTOMATION_SERVICE_KEY",
  "AUTOMATION_AGENT_SERVER_API_KEY",
  "WATCHDOG_HTTP_TOKEN",
] as const;

export const SETTING_NAMES = [
  "AUTOMATION_DB_HOST",
  "AUTOMATION_DB_PORT",
  "AUTOMATION_DB_NAME",
  "AUTOMATION_DB_USER",
  "AUTOMATION_DB_SSL_MODE",
  "DB_SSL_MODE",
  "PGSSLMODE",
  "WATCHDOG_DB_POOL",
  "WATCHDOG_DB_POOLER",
  "WATCHDOG_SCHEDULE",
  "WATCHDOG_LEASE_TTL",
  "WATCHDOG_LEASE_RENEW",
  "WATCHDOG_LEASE_MARGIN",
  "WATCHDOG_CONCURRENCY",
  "WATCHDOG_API_CONCURRENCY",
  "WATCHDOG_PAGE_SIZE",
  "WATCHDOG_VERIFY_TIMEOUT",
  "WATCHDOG_DEFER",
  "WATCHDOG_UNVERIFIABLE_AFTER",
  "WATCHDOG_NULL_DEADLINE_AFTER",
  "WATCHDOG_CONFIRMATIONS",
  "WATCHDOG_GUARD_MIN",
  "WATCHDOG_GUARD_RATIO",
  "WATCHDOG_GUARD_PER_HOUR",
  "WATCHDOG_CLEANUP_DELAY",
  "WATCHDOG_JOURNAL_RETENTION",
  "WATCHDOG_BACKEND",
  "WATCHDOG_HTTP_VERIFY_URL",
  "WATCHDOG_HTTP_CLEANUP_URL",
  "WATCHDOG_AGENT_HOSTS",
  "AUTOMATION_OPENHANDS_API_BASE_URL",
  "AUTOMATION_AGENT_SERVER_URL",
  "AUTOMATION_DEFAULT_RUN_DURATION",
  "AUTOMATION_MAX_RUN_DURATION",
  "AUTOMATION_SANDBOX_READY_TIMEOUT",
  "AUTOMATION_RUN_TIMEOUT_HARD_GRACE",
  "AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS",
  "WATCHDOG_HEALTH_HOST",
  "WATCHDOG_HEALTH_PORT",
  "LOG_LEVEL",
  "LOG_FORMAT",
  "HTTP_PROXY",
  "http_proxy",
  "HTTPS_PROXY",
  "https_proxy",
  "NO_PROXY",
  "no_proxy",
  "ALL_PROXY",
  "all_proxy",
] as const;

export type SecretName = (typeof SECRET_NAMES)[number];
export type SettingName = (typeof SETTING_NAMES)[number];
export type VariableName = SecretName | SettingName;

export type UnknownName =
  | { readonly kind: "typo"; readonly name: string; readonly meant: string }
  | { readonly kind: "unknown"; readonly name: string };

/**
 * Variables that look like ours and are not: every other one with our own prefix, and of those prefixes that we share
 * what is but a slip away from a name of ours. A wrong alarm stops a worker whose environment nobody may change.
 */
export function unknownNames(
  env: Readonly<Record<string, string | undefined>>,
): readonly UnknownName[] {
  const known: readonly string[] = [
    ...SETTING_NAMES,
    ...SECRET_NAMES,
    ...SECRET_NAMES.map((name) => `${name}_FILE`),
  ];
  return Object.entries(env).flatMap(([name, value]): UnknownName[] => {
    const family = FAMILIES.find(({ prefix }) => name.startsWith(prefix));
    if (family === undefined || !value || known.includes(name) || isInjected(name, value)) {
      return [];
    }
    const relatives = known.filter((other) => other.startsWith(family.prefix));
    const meant = closestMatch(name, relatives, { maxDistance: 2 });
    if (meant === undefined) return family.users === "we" ? [{ kind: "unknown", name }] : [];
    if (family.users !== "we" && isAnotherWord(name, meant)) return [];
    // Where ours is there as well, this one has to be somebody else's.
    if (family.users === "everybody" && env[meant]) return [];
    return [{ kind: "typo", name, meant }];
  });
}

interface Family {
  readonly prefix: string;
  readonly users: "we" | "we and the host" | "everybody";
}

const FAMILIES: readonly Family[] = [
  { prefix: "WATCHDOG_", users: "we" },
  { prefix: "AUTOMATION_", users: "we and the host" },
  { prefix: "LOG_", users: "everybody" },
  { prefix: "REDIS", users: "everybody" },
];

/** Two other letters in a short word are no slip: REDIS_SSL does not mean REDIS_URL, nor LOG_LABEL LOG_LEVEL. */
function isAnotherWord(name: string, meant: string): boolean {
  const words = meant.split("_");
  return name.split("_").some((word, index) => {
    const other = words[index] ?? "";
    if (word.length !== other.length || word.length > SHORT_WORD) return false;
    const replaced = Array.from(word).filter((letter, at) => letter !== other[at]);
    return replaced.length === 2 && !hasSameLetters(word, other);
  });
}

const SHORT_WORD = 5;

function hasSameLetters(word: string, other: string): boolean {
  return Array.from(word).toSorted().join("") === Array.from(other).toSorted().join("");
}

/** What Kubernetes puts into every pod for a service, as in `X_PORT=tcp://10.0.0.1:80`. */
export function isServiceLink(value: string): boolean {
  return /^(tcp|udp|sctp):\/\//.test(value);
}

/** `X_PORT` alone is not enough: WATCHDOG_HEALT_PORT=9465 is a typo that must not be ignored. */
function isInjected(name: string, value: string): boolean {
  return (
    name === "WATCHDOG_USEC" ||
    name === "WATCHDOG_PID" ||
    /_SERVICE_(HOST|PORT(_\w+)?)$/.test(name) ||
    /_PORT_\d+_/.test(name) ||
    (name.endsWith("_PORT") && isServiceLink(value))
  );
}

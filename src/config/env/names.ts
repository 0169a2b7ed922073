import { closestMatch } from "leven";
import { SETTINGS } from "./settings.ts";

export interface UnknownName {
  readonly name: string;
  /** `null` when it resembles no name of ours. */
  readonly meant: string | null;
}

/**
 * Variables that look like ours and are not: every other one with our own prefix, and of those prefixes that we share
 * what is but a slip away from a name of ours. A wrong alarm stops a worker whose environment nobody may change.
 */
export function unknownNames(
  env: Readonly<Record<string, string | undefined>>,
): readonly UnknownName[] {
  const known: readonly string[] = Object.entries(SETTINGS).flatMap(([name, { kind }]) =>
    kind === "secret" ? [name, `${name}_FILE`] : [name],
  );
  return Object.entries(env).flatMap(([name, value]): UnknownName[] => {
    const family = FAMILIES.find(({ prefix }) => name.startsWith(prefix));
    if (family === undefined || !value || known.includes(name) || isInjected(name, value)) {
      return [];
    }
    const relatives = known.filter((other) => other.startsWith(family.prefix));
    const meant = closestMatch(name, relatives, { maxDistance: 2 });
    if (meant === undefined) return family.users === "we" ? [{ name, meant: null }] : [];
    if (family.users !== "we" && isAnotherWord(name, meant)) return [];
    // Where ours is there as well, this one has to be somebody else's.
    if (family.users === "everybody" && env[meant]) return [];
    return [{ name, meant }];
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

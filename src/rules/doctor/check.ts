/** What `doctor` says of one link of the chain. */
export interface Check {
  /** A fixed, short name: `host tables`. */
  readonly link: string;
  /** `skipped`: a link that it depends on failed. `warning` is also what could not be looked at. */
  readonly result: CheckResult;
  /** What was found, in one sentence without a full stop. Neither secrets nor anything a tenant wrote. */
  readonly found: string;
  /** What to do about it. */
  readonly remedies: readonly string[];
}

export type CheckResult = "ok" | "warning" | "failure" | "skipped";

/** What was asked of a link, or why there is no answer. */
export type Fact<T> =
  | { readonly kind: "known"; readonly value: T }
  | { readonly kind: "unknown"; readonly why: string };

export function ok(link: string, found: string): Check {
  return { link, result: "ok", found, remedies: [] };
}

export function warning(link: string, found: string, ...remedies: readonly string[]): Check {
  return { link, result: "warning", found, remedies };
}

export function failure(link: string, found: string, ...remedies: readonly string[]): Check {
  return { link, result: "failure", found, remedies };
}

export function skipped(needs: string, ...links: readonly string[]): readonly Check[] {
  return links.map((link) => ({
    link,
    result: "skipped",
    found: `needs "${needs}"`,
    remedies: [],
  }));
}

/** The check of a fact, or the warning that it could not be looked at. */
export function ifKnown<T>(
  link: string,
  fact: Fact<T>,
  check: (value: T) => Check,
  ...remedies: readonly string[]
): Check {
  if (fact.kind === "known") return check(fact.value);
  return warning(link, `could not be looked at: ${fact.why}`, ...remedies);
}

/** 0 unless something failed: warnings are for people. */
export function doctorExitCode(checks: readonly Check[], usable: boolean): 0 | 1 | 2 {
  if (!usable) return 2;
  return checks.some(({ result }) => result === "failure") ? 1 : 0;
}

/** A length of time for people: `450 ms`, `45 s`, `1 min 30 s`, `2 h`, `3 d`. */
export function span(ms: number): string {
  if (Math.abs(ms) < 1) return "less than 1 ms";
  if (Math.abs(ms) < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  for (const [unit, size, part, partSize] of UNITS) {
    if (Math.abs(seconds) < size) continue;
    const whole = Math.trunc(seconds / size);
    const rest = Math.trunc((seconds % size) / partSize);
    return rest === 0 ? `${whole} ${unit}` : `${whole} ${unit} ${Math.abs(rest)} ${part}`;
  }
  return `${seconds} s`;
}

const UNITS = [
  ["d", 86_400, "h", 3_600],
  ["h", 3_600, "min", 60],
  ["min", 60, "s", 1],
] as const;

/**
 * Text from outside, made fit for Postgres: `text` refuses NUL, and a lone surrogate is not UTF-8. Both are removed,
 * everything else stays.
 */
export function clean(text: string): string {
  return text.replace(/[\0\p{Surrogate}]/gu, "");
}

/** A run's id as Postgres prints it, so that two ways to write one id are one run; `null` when it is no UUID. */
export function canonicalRunId(text: string): string | null {
  const parts = /^([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$/i;
  return parts.exec(text)?.slice(1).join("-").toLowerCase() ?? null;
}

/** The last `count` code points, at least one: a cut by UTF-16 unit could split a character in two. */
export function tail(text: string, count: number): string {
  // No code point is longer than two units, so nothing before this can be part of the tail.
  const units = text.slice(-2 * count);
  return Array.from(units).slice(-count).join("");
}

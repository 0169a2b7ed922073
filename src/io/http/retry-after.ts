export const LONGEST_PAUSE_MS = 5 * 60_000;

/** RFC 9110's preferred form; `Date.parse` alone would take almost anything for a date. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * How long a Retry-After header asks to wait, at most 5 minutes; `null` without a usable one.
 *
 * A date is measured against the answer's own Date header, so that a skewed clock does not matter.
 */
export function parseRetryAfter(
  retryAfter: string | null,
  date: string | null,
  nowMs: number,
): number | null {
  if (retryAfter === null) return null;
  const waitMs = /^\d+$/.test(retryAfter)
    ? Number(retryAfter) * 1000
    : (parseHttpDate(retryAfter) ?? Number.NaN) - (parseHttpDate(date) ?? nowMs);
  return waitMs >= 0 ? Math.min(waitMs, LONGEST_PAUSE_MS) : null;
}

/** Unix milliseconds, in whole seconds; `null` for what is not a date. */
export function parseHttpDate(text: string | null): number | null {
  if (text === null || !HTTP_DATE.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

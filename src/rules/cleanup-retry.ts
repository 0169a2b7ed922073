const MINUTE_MS = 60_000;
const FIRST_MS = MINUTE_MS / 2;
const LONGEST_MS = 60 * MINUTE_MS;

/**
 * How long to wait before a deletion is tried again: doubling from half a minute to an hour, spread by up to a quarter
 * so that many failures do not come back together, and never earlier than the API asked for.
 *
 * @param attempts how many were made, at least 1.
 * @param fraction uniform in [0, 1).
 */
export function cleanupRetryMs(
  attempts: number,
  retryAfterMs: number | null,
  fraction: number,
): number {
  const doubledMs = Math.min(FIRST_MS * 2 ** (attempts - 1), LONGEST_MS);
  return Math.max(Math.round(doubledMs * (1 + fraction / 4)), retryAfterMs ?? 0);
}

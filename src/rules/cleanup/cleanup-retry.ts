const MINUTE_MS = 60_000;
const FIRST_MS = MINUTE_MS / 2;
const LONGEST_MS = 60 * MINUTE_MS;
const ABSENT_ATTEMPTS = 3;

/** How long a claimed deletion belongs to its claimer; after that it counts as lost, and is due again. */
export const CLAIM_MS = 5 * MINUTE_MS;

/** From the claim until its deletion is given up: so much earlier that no two of the same sandbox are ever on their way. */
export const DELETE_WITHIN_MS = 4 * MINUTE_MS;

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

/**
 * Whether a sandbox that the API does not know is considered deleted. Such an answer alone proves nothing: it also comes
 * when the API's own deletion broke off. But a sandbox that was deleted, with the note about it lost, gives no other.
 *
 * @param attempts how many were made, the one that was answered so included.
 */
export function isGivenUpAsAbsent(attempts: number): boolean {
  return attempts >= ABSENT_ATTEMPTS;
}

/** What the journal says of a deletion that ended without the API's confirmation. */
export function absentNote(failure: string): string {
  return `the API does not know the sandbox: ${failure}`;
}

import { setTimeout as sleep } from "node:timers/promises";

const LOOK_EVERY_MS = 20;
const GIVE_UP_AFTER_MS = 60_000;

/**
 * Looks until there is something.
 *
 * @throws Error when there is nothing for too long.
 */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T | null>,
  giveUpAfterMs = GIVE_UP_AFTER_MS,
): Promise<T> {
  const untilMs = performance.now() + giveUpAfterMs;
  while (performance.now() < untilMs) {
    const found = await look();
    if (found !== null) return found;
    await sleep(LOOK_EVERY_MS);
  }
  throw new Error(`waited ${giveUpAfterMs / 1000} s for ${what}, found none`);
}

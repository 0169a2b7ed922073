/** What the suites about run stores do again and again. */
import { expect } from "vitest";
import type { RunSnapshot } from "../../../src/rules/model.ts";
import { CLEARED, observation, type SuspicionChange } from "../../../src/rules/suspicion.ts";
import { MIN_MS, queryOf, type StoreStand } from "./store-stand.ts";
import { deferring } from "./stores.ts";

export const HOUR_MS = 60 * MIN_MS;
export const WRITTEN = { kind: "written" };

export const PRESUMED: SuspicionChange = observation(null, "sandbox gone", 0);

/** Everything there is to remember but failures. */
export const DARK: SuspicionChange = { ...PRESUMED, unknownTimes: 3, held: true };

export async function read(stand: StoreStand, id: string): Promise<RunSnapshot> {
  const run = await stand.store.read(id, await queryOf(stand));
  if (run === null) throw new Error(`there is no run ${id}`);
  return run;
}

/** Defers a run by an hour, with a shield that lasts no longer unless told otherwise. */
export async function leave(
  stand: StoreStand,
  id: string,
  suspicion = CLEARED,
  shieldMs = 0,
): Promise<void> {
  const write = deferring(await read(stand, id), { suspicion, deferMs: HOUR_MS, shieldMs });
  expect(await stand.store.defer(write, stand.fence)).toEqual(WRITTEN);
}

/** Notes that a run could not be handled, to be tried again in an hour. */
export async function fail(stand: StoreStand, id: string, cause = "status 500"): Promise<void> {
  await stand.store.noteError({ runId: id, cause, retryInMs: HOUR_MS }, stand.fence);
}

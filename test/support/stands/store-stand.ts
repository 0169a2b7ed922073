/** Runs and what is remembered of them, the same on PostgreSQL and in memory. */

import type { Shard } from "../../../src/rules/fleet/shard.ts";
import type { Fleet } from "../../../src/watchdog/fleet-ports.ts";
import type { JournalReader } from "../../../src/watchdog/journal-ports.ts";
import type { Fence } from "../../../src/watchdog/ports.ts";
import type {
  EpochRequest,
  Leadership,
  RunStore,
  StaleQuery,
} from "../../../src/watchdog/store-ports.ts";
import { DAY_MS, epochRequest } from "./stores.ts";

export interface StoreStand extends AsyncDisposable {
  readonly store: RunStore;
  readonly leadership: Leadership;
  readonly fleet: Fleet;
  readonly reader: JournalReader;
  /** Whose leader writes. */
  readonly shard: Shard;
  /** Of the newest epoch. */
  readonly fence: Fence;
  /** A run that is RUNNING and a minute overdue, unless told otherwise; ids ascend in the order of adding. */
  add(seed?: StandRun): Promise<string>;
  /** The host writes the row. */
  change(runId: string, changes: RunChange): Promise<void>;
  remove(runId: string): Promise<void>;
  run(runId: string): Promise<StoredRun | null>;
  remembered(runId: string): Promise<StoredSuspicion | null>;
  /** Reason, and why a person let it pass. */
  verdicts(runId: string): Promise<readonly StoredVerdict[]>;
  /** The journal of pauses. */
  pauses(): Promise<readonly StoredPause[]>;
  /** Lets so much time go by. */
  pass(ms: number): Promise<void>;
  /** Somebody else is writing the run's row while `work` goes on. */
  whileLocked(runId: string, work: () => Promise<void>): Promise<void>;
  /** Somebody else takes over; `fence` is of the past from now on. */
  takeOver(): Promise<Fence>;
}

export interface StandRun {
  readonly status?: string;
  /** Minutes since the deadline, negative for one to come; `null`: there is none. */
  readonly overdueMin?: number | null;
  /** Minutes since it started. */
  readonly beganMin?: number;
  readonly sandboxId?: string | null;
  readonly bashCommandId?: string | null;
  /** JSON text. */
  readonly statusDetail?: string;
}

export interface RunChange {
  readonly status?: string;
  readonly errorDetail?: string;
  readonly sandboxId?: string | null;
  readonly bashCommandId?: string | null;
  /** As in StandRun. */
  readonly overdueMin?: number;
  /** As in StandRun: the host starts the run anew in its row. */
  readonly beganMin?: number;
}

/** Times are minutes before now, rounded; what is to come is negative. */
export interface StoredRun {
  readonly status: string;
  readonly overdueMin: number | null;
  readonly statusDetail: string | null;
}

/** As above. */
export interface StoredSuspicion {
  readonly sandboxId: string | null;
  readonly bashCommandId: string | null;
  readonly firstDeadline: number | null;
  readonly noted: number | null;
  readonly presumedTimes: number;
  readonly presumedReason: string | null;
  readonly presumedLast: number | null;
  readonly unknownTimes: number;
  readonly unknownSince: number | null;
  readonly unknownCause: string | null;
  readonly errorTimes: number;
  readonly errorCause: string | null;
  readonly errorRetry: number | null;
  readonly heldSince: number | null;
  readonly look: number | null;
  readonly shield: number | null;
}

export interface StoredVerdict {
  readonly reason: string;
  readonly overrideReason: string | null;
}

/** As above. */
export interface StoredPause {
  readonly until: number | null;
  readonly reason: string | null;
  readonly by: string;
}

export const MIN_MS = 60_000;
const BEGAN_MIN = 30;

/** What a row is when nothing else is remembered of a run that was deferred by an hour. */
export const NOTHING: Omit<StoredSuspicion, "sandboxId" | "bashCommandId" | "firstDeadline"> = {
  look: -60,
  shield: -60,
  noted: 0,
  presumedTimes: 0,
  presumedReason: null,
  presumedLast: null,
  unknownTimes: 0,
  unknownSince: null,
  unknownCause: null,
  errorTimes: 0,
  errorCause: null,
  errorRetry: null,
  heldSince: null,
};

/** As the stand's leader asks for its next epoch. */
export function requestOf(
  { shard: { index: shard, count: shards } }: StoreStand,
  changes: Partial<EpochRequest> = {},
): EpochRequest {
  return epochRequest({ shard, shards, ...changes });
}

/** As a sweep that begins now would ask. */
export async function queryOf(
  { leadership }: Pick<StoreStand, "leadership">,
  changes: Partial<StaleQuery> = {},
): Promise<StaleQuery> {
  const horizon = await leadership.horizon();
  return { horizon, nullDeadlineAfterMs: DAY_MS, includeSuspected: false, ...changes };
}

export function complete(number: number, seed: StandRun) {
  const id = `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
  const { status = "RUNNING", overdueMin = 1, beganMin = BEGAN_MIN, statusDetail = null } = seed;
  const { sandboxId = `sandbox-${number}`, bashCommandId = `command-${number}` } = seed;
  return { id, status, overdueMin, beganMin, sandboxId, bashCommandId, statusDetail };
}

export function minutes(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms / MIN_MS) + 0;
}

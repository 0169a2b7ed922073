import { type CleanupDelays, planCleanup } from "../../rules/cleanup/cleanup-plan.ts";
import { LET_IT_LOOK_SELDOM } from "../../rules/remedy.ts";
import { isolated } from "../errors.ts";
import type { Fleet } from "../fleet-ports.ts";
import type { Journal, OverturnedVerdict } from "../journal-ports.ts";
import type { Backend, Fence, Log } from "../ports.ts";
import type { RunStore } from "../store-ports.ts";

export interface MaintenanceDeps {
  readonly journal: Pick<
    Journal,
    | "adoptLateSandboxes"
    | "adoptOverdueStamps"
    | "closeOverturnedFirstRuns"
    | "markOverturned"
    | "prune"
  >;
  readonly store: Pick<RunStore, "dropSuspicions">;
  readonly fleet: Pick<Fleet, "forgetWorkers">;
  readonly backend: Pick<Backend, "cleans" | "pause">;
  readonly log: Log;
  /** Told how many suspected or held runs somebody else has ended as timed out; not called for none. */
  readonly onEndedElsewhere: (count: number) => void;
  /** Told how many presumptions have turned out wrong since the last sweep; not called for none. */
  readonly onOverturned: (count: number) => void;
}

/** A sandbox whose run named it late is treated as after any presumption. */
export interface MaintenanceOptions extends CleanupDelays {
  /** How long the journal keeps verdicts with nothing left to do. */
  readonly journalRetentionMs: number;
}

/**
 * What a sweep does once for the worker's own tables: it schedules the deletion of sandboxes that were named late or
 * that the host did not delete, closes the first outcomes of overturned presumptions and notes which those are, and
 * removes the suspicions of ended runs, old verdicts and workers that are gone. A step that fails is left to the next
 * sweep.
 *
 * @throws what ends the sweep, or `signal.reason`.
 */
export async function maintain(
  deps: MaintenanceDeps,
  options: MaintenanceOptions,
  fence: Fence,
  signal: AbortSignal,
): Promise<void> {
  const steps: Readonly<Record<string, () => Promise<void>>> = {
    "late sandboxes": () => adopt(deps, options, fence),
    "the host's stamps": () => adoptStamps(deps, fence),
    "first runs": async () => void (await deps.journal.closeOverturnedFirstRuns(fence)),
    "overturned verdicts": () => markOverturned(deps, fence),
    suspicions: () => forget(deps, fence),
    workers: async () => void (await deps.fleet.forgetWorkers(GONE_AFTER_MS, fence)),
    journal: () => prune(deps, options.journalRetentionMs, fence, signal),
  };
  for (const [step, work] of Object.entries(steps)) {
    signal.throwIfAborted();
    await isolated(work, (err) => deps.log.warn({ err, step }, "maintenance failed"), signal);
  }
}

const GONE_AFTER_MS = 86_400_000;

async function adopt(deps: MaintenanceDeps, delays: CleanupDelays, fence: Fence): Promise<void> {
  const { cleans, pause } = deps.backend;
  if (!cleans) return;
  const plan = planCleanup("presumption", delays, pause !== undefined);
  const count = await deps.journal.adoptLateSandboxes(plan, fence);
  if (count > 0) deps.log.info({ count }, "sandboxes that were named late will be deleted");
}

/** The rest comes with later sweeps, the oldest first. */
const STAMPS_AT_ONCE = 1000;

/** Only a backend that pauses is one for which the host stamps its rows. */
async function adoptStamps(deps: MaintenanceDeps, fence: Fence): Promise<void> {
  const { cleans, pause } = deps.backend;
  if (!cleans || pause === undefined) return;
  const count = await deps.journal.adoptOverdueStamps(STAMPS_AT_ONCE, fence);
  if (count > 0) deps.log.info({ count }, "sandboxes that the host did not delete will be deleted");
}

/** A callback later than that is none any more. */
const OVERTURNED_WITHIN_MS = 7 * 24 * 60 * 60_000;
const OVERTURNED_AT_ONCE = 1000;
/** The journal names them all. */
const OVERTURNED_NAMED = 100;

async function markOverturned(deps: MaintenanceDeps, fence: Fence): Promise<void> {
  const { journal, log, onOverturned } = deps;
  const found = await journal.markOverturned(OVERTURNED_WITHIN_MS, OVERTURNED_AT_ONCE, fence);
  const count = found.length;
  if (count === 0) return;
  for (const verdict of found.slice(0, OVERTURNED_NAMED)) logOverturned(log, verdict);
  const unnamed = Math.max(0, count - OVERTURNED_NAMED);
  const fields = { count, ...(unnamed > 0 ? { unnamed } : {}) };
  log.info(fields, "runs that were presumed dead have another end by now");
  onOverturned(count);
}

/** In the words of the line that told of the verdict. */
function logOverturned(log: Log, { laterMs, sandboxDeleted, ...verdict }: OverturnedVerdict): void {
  const sandbox = sandboxDeleted === null ? "none" : sandboxDeleted ? "deleted" : "left alone";
  const laterSeconds = laterMs === null ? null : Math.round(laterMs / 1000);
  log.info({ ...verdict, basis: "presumption", laterSeconds, sandbox }, "run overturned");
}

async function forget(deps: MaintenanceDeps, fence: Fence): Promise<void> {
  const count = await deps.store.dropSuspicions(fence);
  if (count === 0) return;
  deps.log.warn({ count, remedy: LET_IT_LOOK_SELDOM }, "another watchdog ends runs");
  deps.onEndedElsewhere(count);
}

/** Bounded: the first pruning of a large journal takes many sweeps and delays none. */
const PRUNE_BATCH = 1000;
const PRUNE_BATCHES = 10;

async function prune(
  deps: MaintenanceDeps,
  retentionMs: number,
  fence: Fence,
  signal: AbortSignal,
): Promise<void> {
  let count = 0;
  for (let batch = 0; batch < PRUNE_BATCHES; batch += 1) {
    signal.throwIfAborted();
    const removed = await deps.journal.prune(retentionMs, PRUNE_BATCH, fence);
    count += removed;
    if (removed < PRUNE_BATCH) break;
  }
  if (count > 0) deps.log.info({ count }, "old verdicts were removed from the journal");
}

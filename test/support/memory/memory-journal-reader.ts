import type {
  JournaledVerdict,
  Remembered,
  RunRecord,
} from "../../../src/rules/history/journal.ts";
import type { JournalReader, VerdictQuery } from "../../../src/watchdog/journal-ports.ts";
import type { MemoryDatabase, MemorySuspicion, MemoryVerdict } from "./memory-database.ts";
import { remembered } from "./memory-runs.ts";

const ENDED = ["COMPLETED", "FAILED", "CANCELLED", "SKIPPED"];

/** The model of the journal's reader. */
export class MemoryJournalReader implements JournalReader {
  readonly #db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async verdicts(query: VerdictQuery): Promise<readonly JournaledVerdict[]> {
    const { runId, sinceMs, basis, outcome, overturned, limit } = query;
    return this.#db.verdicts
      .filter((row) => row.basis !== "host")
      .filter((row) => runId === null || row.runId === runId)
      .filter((row) => sinceMs === null || row.decidedAtMs >= this.#db.nowMs() - sinceMs)
      .filter((row) => basis === null || row.basis === basis)
      .filter((row) => outcome === null || row.outcome === outcome)
      .filter((row) => !overturned || this.#isOverturned(row))
      .sort((a, b) => b.decidedAtMs - a.decidedAtMs || b.id - a.id)
      .slice(0, limit)
      .map((row) => this.#toVerdict(row));
  }

  async run(runId: string, nullDeadlineAfterMs: number): Promise<RunRecord | null> {
    const row = this.#db.runs.get(runId);
    if (row === undefined) return null;
    const known = this.#db.suspicions.get(runId);
    const lookAtMs = known?.shieldAtMs === row.timeoutAtMs ? (known?.lookAtMs ?? null) : null;
    const about = remembered(this.#db, row);
    return {
      runId,
      automationId: row.automationId,
      status: row.status,
      beganAt: iso(row.beganAtMs),
      completedAt: iso(row.completedAtMs),
      timeoutAt: iso(row.timeoutAtMs),
      sandboxId: row.sandboxId,
      bashCommandId: row.bashCommandId,
      timedOut: isPresumedDead(row),
      dueAt: iso(lookAtMs ?? row.timeoutAtMs ?? row.beganAtMs + nullDeadlineAfterMs),
      shielded: lookAtMs !== null,
      remembered: about && toRemembered(about),
      readAt: iso(this.#db.nowMs()),
    };
  }

  #isOverturned({ basis, runId, decidedAtMs }: MemoryVerdict): boolean {
    const run = this.#db.runs.get(runId);
    if (basis !== "presumption" || run === undefined) return false;
    return ENDED.includes(run.status) && !isPresumedDead(run) && run.beganAtMs <= decidedAtMs;
  }

  #toVerdict(row: MemoryVerdict): JournaledVerdict {
    const { runId, automationId, outcome, basis, reason, epoch, holder, trigger } = row;
    const known = row.suspicion ?? null;
    return {
      ...{ runId, automationId, outcome, reason, epoch, holder, trigger },
      basis: basis === "presumption" ? basis : "proof",
      decidedAt: iso(row.decidedAtMs),
      evidence: row.evidence as JournaledVerdict["evidence"],
      overrideReason: row.overrideReason,
      suspicion: known && {
        firstDeadlineAt: iso(known.firstDeadlineAtMs),
        presumedTimes: known.presumedTimes,
        presumedLastAt: iso(known.presumedLastAtMs),
        unknownTimes: known.unknownTimes,
        unknownSince: iso(known.unknownSinceMs),
        heldSince: iso(known.heldSinceMs),
      },
      cleanup: {
        state: row.cleanupState,
        attempts: row.cleanupAttempts,
        nextAt: iso(row.cleanupNextAtMs),
        error: row.cleanupError,
      },
      overturned: this.#isOverturned(row),
      overturnedAt: null,
      statusNow: this.#db.runs.get(runId)?.status ?? null,
    };
  }
}

function isPresumedDead(run: { readonly status: string; readonly errorDetail: string | null }) {
  return run.status === "FAILED" && run.errorDetail?.startsWith("Timed out: ") === true;
}

function toRemembered(known: MemorySuspicion): Remembered {
  const { presumedTimes, presumedReason, unknownTimes, unknownCause, errorTimes, errorCause } =
    known;
  return {
    ...{ presumedTimes, presumedReason, unknownTimes, unknownCause, errorTimes, errorCause },
    firstDeadlineAt: iso(known.firstDeadlineAtMs),
    notedAt: iso(known.notedAtMs),
    presumedLastAt: iso(known.presumedLastAtMs),
    unknownSince: iso(known.unknownSinceMs),
    errorRetryAt: iso(known.errorRetryAtMs),
    heldSince: iso(known.heldSinceMs),
  };
}

function iso(ms: number): string;
function iso(ms: number | null): string | null;
function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

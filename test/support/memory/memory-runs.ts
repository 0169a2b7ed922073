import type { RunSnapshot, Suspicion } from "../../../src/rules/model.ts";
import type { RunPart, StaleQuery } from "../../../src/watchdog/store-ports.ts";
import type { MemoryDatabase, MemoryRun, MemorySuspicion } from "./memory-database.ts";

/** The runs in memory and what is remembered of them, as one query sees them. */
export class MemoryRuns {
  readonly #db: MemoryDatabase;
  readonly #query: StaleQuery;

  constructor(db: MemoryDatabase, query: StaleQuery) {
    this.#db = db;
    this.#query = query;
  }

  running(): MemoryRun[] {
    return [...this.#db.runs.values()].filter((row) => row.status === "RUNNING");
  }

  known(row: MemoryRun): MemorySuspicion | null {
    return remembered(this.#db, row);
  }

  deadline(row: MemoryRun): number {
    return row.timeoutAtMs ?? row.beganAtMs + this.#query.nullDeadlineAfterMs;
  }

  /** Our own look where the deadline is our shield, else the deadline. */
  dueAtMs(row: MemoryRun): number {
    const known = this.#db.suspicions.get(row.id);
    const isShielded = known !== undefined && known.shieldAtMs === row.timeoutAtMs;
    return (isShielded ? known.lookAtMs : null) ?? this.deadline(row);
  }

  isDue(row: MemoryRun): boolean {
    return this.dueAtMs(row) < this.#query.horizon.ms;
  }

  /** Whoever asks for suspected runs gets them whatever was changed since. */
  isStale(row: MemoryRun): boolean {
    const isSuspected = this.#query.includeSuspected && this.#db.suspicions.has(row.id);
    return row.status === "RUNNING" && (this.isDue(row) || isSuspected);
  }

  /** What this sweep noted itself does not count. */
  isSuspectedBefore(row: MemoryRun): boolean {
    const known = this.known(row);
    return known !== null && known.presumedTimes > 0 && known.notedAtMs < this.#query.horizon.ms;
  }

  /** Whether it is in the part that the query asks for. */
  isIn(row: MemoryRun): boolean {
    const { part } = this.#query;
    if (!part) return true;
    const isRemainder = remainder(row.id, part.count) === part.index;
    const isForTheGuard = this.#isForTheGuard(row, part);
    return part.index === 0 ? isRemainder || isForTheGuard : isRemainder && !isForTheGuard;
  }

  #isForTheGuard(row: MemoryRun, { confirmations, unverifiableAfterMs }: RunPart): boolean {
    const known = this.known(row);
    if (known === null) return false;
    const { presumedTimes, heldSinceMs, unknownSinceMs } = known;
    const isConfirmable = presumedTimes > 0 && presumedTimes >= confirmations - 1;
    const silentSinceMs = this.#query.horizon.ms - unverifiableAfterMs;
    return isConfirmable || heldSinceMs !== null || (unknownSinceMs ?? Infinity) <= silentSinceMs;
  }

  isWaiting(row: MemoryRun): boolean {
    return (this.known(row)?.errorRetryAtMs ?? -Infinity) > this.#query.horizon.ms;
  }

  snapshot(row: MemoryRun): RunSnapshot {
    return {
      id: row.id,
      automationId: row.automationId,
      userId: null,
      orgId: null,
      status: row.status,
      stale: this.isStale(row),
      timeoutAt: timeoutText(row),
      firstDeadlineMs: Math.min(this.known(row)?.firstDeadlineAtMs ?? Infinity, this.deadline(row)),
      beganAt: instantText(row.beganAtMs),
      sandboxId: row.sandboxId,
      bashCommandId: row.bashCommandId,
      beganAtMs: row.beganAtMs,
      timeoutS: row.timeoutS,
      keepAlive: row.keepAlive,
      firstRunOpen: this.#db.presets.get(row.automationId)?.includes('"template"') ?? false,
      statusDetail: row.statusDetail === null ? null : JSON.parse(row.statusDetail),
      suspicion: this.#suspicion(row),
      isRemembered: this.#db.suspicions.has(row.id),
      readAt: this.#db.nowText(),
    };
  }

  #suspicion(row: MemoryRun): Suspicion | null {
    const known = this.known(row);
    if (known === null) return null;
    const { presumedTimes, presumedReason, presumedLastAtMs: lastAtMs } = known;
    const { unknownTimes, unknownSinceMs, errorTimes } = known;
    const sincePresumedMs = lastAtMs === null ? null : Math.max(0, this.#db.nowMs() - lastAtMs);
    return {
      presumedTimes,
      presumedReason,
      sincePresumedMs,
      unknownTimes,
      unknownSinceMs,
      errorTimes,
    };
  }
}

/** Which part a run is in. Any division does, as long as it is always the same. */
export function remainder(id: string, count: number): number {
  let hash = 0;
  for (const letter of id) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return hash % count;
}

/** What counts of a run: whatever was said of another attempt, sandbox or command does not. */
export function remembered(db: MemoryDatabase, row: MemoryRun): MemorySuspicion | null {
  const known = db.suspicions.get(row.id);
  const isSame =
    known?.sandboxId === row.sandboxId &&
    known?.bashCommandId === row.bashCommandId &&
    known?.beganAtMs === row.beganAtMs;
  return known !== undefined && isSame ? known : null;
}

export function timeoutText({ timeoutAtMs }: MemoryRun): string | null {
  return timeoutAtMs === null ? null : instantText(timeoutAtMs);
}

/** With microseconds, like Postgres. */
export function instantText(ms: number): string {
  const micros = Math.floor((ms - Math.floor(ms)) * 1000);
  const iso = new Date(Math.floor(ms)).toISOString();
  return iso.replace("Z", `${String(micros).padStart(3, "0")}Z`);
}

import type { RunSnapshot } from "../../../src/rules/model.ts";
import {
  UNKNOWN_CAUSE,
  UNKNOWN_FAILURE,
  type Waiting,
  type WaitingCause,
  type WaitingState,
} from "../../../src/rules/report.ts";
import type { SuspicionChange } from "../../../src/rules/suspicion.ts";
import type { Fence, RunIdName } from "../../../src/watchdog/ports.ts";
import type {
  Backlog,
  DeferWrite,
  FailedRun,
  GuardFacts,
  Horizon,
  PageCursor,
  RunStore,
  SkippedDeferral,
  StalePage,
  StaleQuery,
  TerminalWrite,
  WriteFacts,
  WriteResult,
} from "../../../src/watchdog/store-ports.ts";
import type {
  MemoryDatabase,
  MemoryRun,
  MemorySuspicion,
  MemoryVerdict,
} from "./memory-database.ts";
import { instantText, MemoryRuns, remembered, timeoutText } from "./memory-runs.ts";

const HOUR_MS = 3_600_000;
/** Sorts runs without a deadline behind all others. */
const DECADE_MS = 315_360_000_000;

/** The model of the run store: keeps the promises of the port on tables in memory. */
export class MemoryStore implements RunStore {
  readonly #db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async backlog(query: StaleQuery): Promise<Backlog> {
    const runs = new MemoryRuns(this.#db, query);
    const horizonMs = query.horizon.ms;
    const rows = runs.running().map((row) => ({ row, known: runs.known(row) }));
    const isTakenUp = (row: MemoryRun) =>
      runs.isDue(row) || (query.includeSuspected && runs.isSuspectedBefore(row));
    const overdueMs = rows
      .filter(({ row, known }) => runs.deadline(row) < horizonMs || known !== null)
      .map(({ row, known }) => Math.min(known?.firstDeadlineAtMs ?? Infinity, runs.deadline(row)))
      .filter((deadlineMs) => deadlineMs < horizonMs)
      .map((deadlineMs) => horizonMs - deadlineMs);
    return {
      count: rows.filter(({ row }) => isTakenUp(row) && !runs.isWaiting(row)).length,
      deferred: rows.filter(
        ({ row, known }) => !isTakenUp(row) && (known?.firstDeadlineAtMs ?? Infinity) < horizonMs,
      ).length,
      held: rows.filter(({ known }) => known !== null && known.heldSinceMs !== null).length,
      failing: rows.filter(({ known }) => known !== null && known.errorTimes > 0).length,
      oldestOverdueMs: overdueMs.length === 0 ? null : Math.max(...overdueMs),
    };
  }

  async waiting(after?: Horizon): Promise<Waiting> {
    const rows = [...this.#db.runs.values()].flatMap((row) => {
      const known = row.status === "RUNNING" ? remembered(this.#db, row) : null;
      if (known === null) return [];
      const isTakenUp = (nextLookAtMs(row, known) ?? Infinity) < (after?.ms ?? -Infinity);
      return isTakenUp ? [] : [{ row, known, state: stateOf(known) }];
    });
    const of = (state: WaitingState) => rows.filter((each) => each.state === state);
    const looks = rows.flatMap(({ row, known }) => nextLookAtMs(row, known) ?? []);
    return {
      alive: of("alive").length,
      suspected: of("suspected").length,
      held: of("held").length,
      unanswered: of("unanswered").length,
      failing: of("failing").length,
      nextLookAt: looks.length === 0 ? null : new Date(Math.min(...looks)).toISOString(),
      causes: grouped(of("unanswered").map(({ known }) => known.unknownCause ?? UNKNOWN_CAUSE)),
      failures: grouped(of("failing").map(({ known }) => known.errorCause ?? UNKNOWN_FAILURE)),
    };
  }

  async stalePage(query: StaleQuery, cursor: PageCursor | null, limit: number): Promise<StalePage> {
    const runs = new MemoryRuns(this.#db, query);
    const rows = runs.running().filter((row) => !runs.isWaiting(row) && runs.isIn(row));
    if (cursor === null || cursor.part === "due") {
      const keyOf = (row: MemoryRun) => `${instantText(runs.dueAtMs(row))} ${row.id}`;
      const after = cursor === null ? "" : `${cursor.dueAt} ${cursor.id}`;
      const due = rows
        .filter((row) => row.timeoutAtMs !== null && runs.isDue(row) && keyOf(row) > after)
        .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
      return pageOf(due, limit, { part: "no-deadline", id: null }, (last) => ({
        part: "due",
        dueAt: instantText(runs.dueAtMs(last)),
        id: last.id,
      }));
    }
    const byId = rows
      .filter((row) => row.id > (cursor.id ?? ""))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    if (cursor.part === "suspected") {
      const suspected = byId.filter((row) => !runs.isDue(row) && runs.isSuspectedBefore(row));
      return pageOf(suspected, limit, null, ({ id }) => ({ part: "suspected", id }));
    }
    const untimed = byId.filter((row) => row.timeoutAtMs === null && runs.isDue(row));
    const then: PageCursor | null = query.includeSuspected ? { part: "suspected", id: null } : null;
    return pageOf(untimed, limit, then, ({ id }) => ({ part: "no-deadline", id }));
  }

  async read(runId: string, query: StaleQuery): Promise<RunSnapshot | null> {
    const row = this.#db.runs.get(runId);
    return row === undefined ? null : new MemoryRuns(this.#db, query).snapshot(row);
  }

  async guardFacts(confirmations: number, othersWithinMs = 0): Promise<GuardFacts> {
    const confirmable = [...this.#db.runs.values()].filter((row) => {
      const presumedTimes = remembered(this.#db, row)?.presumedTimes ?? 0;
      return row.status === "RUNNING" && presumedTimes > 0 && presumedTimes >= confirmations - 1;
    });
    const sinceMs = this.#db.nowMs() - HOUR_MS;
    const lately = this.#db.verdicts.filter(({ decidedAtMs }) => decidedAtMs > sinceMs);
    const presumed = lately.filter(
      ({ basis, overrideReason }) => basis === "presumption" && overrideReason === null,
    );
    return {
      confirmable: confirmable.length,
      presumedLastHour: presumed.length,
      provenLastHour: lately.filter(({ basis }) => basis === "proof").length,
      lastAnswered: answeredIn(this.#db.leadership.lastReport, ANSWERED),
      othersAnswered: this.#db.shards
        .map(({ lastReport }) => lastReport)
        .filter((report) => startedAtMs(report) > this.#db.nowMs() - othersWithinMs)
        .reduce((sum, report) => sum + answeredIn(report, UNSUSPECTED), 0),
    };
  }

  async controlRuns(
    query: StaleQuery,
    needs: readonly RunIdName[],
    limit: number,
  ): Promise<readonly RunSnapshot[]> {
    const runs = new MemoryRuns(this.#db, query);
    const endOf = (row: MemoryRun) => row.timeoutAtMs ?? row.beganAtMs - DECADE_MS;
    return runs
      .running()
      .filter((row) => !runs.isDue(row) && needs.every((name) => Boolean(row[name])))
      .filter((row) => {
        const known = runs.known(row);
        return known === null || known.presumedTimes + known.unknownTimes + known.errorTimes === 0;
      })
      .sort((a, b) => endOf(b) - endOf(a) || (a.id > b.id ? -1 : 1))
      .slice(0, limit)
      .map((row) => runs.snapshot(row));
  }

  async apply(write: TerminalWrite, fence: Fence): Promise<WriteResult> {
    fence.check();
    const { run, verdict, cleanupInMs, deletionInMs } = write;
    const row = this.#guarded(run, fence);
    if (row === null) return { kind: "none" };
    if (this.#db.locked.has(run.id)) return { kind: "busy" };
    const nowMs = this.#db.nowMs();
    const failed = verdict.kind === "fail" ? verdict : null;
    row.status = failed === null ? "COMPLETED" : "FAILED";
    row.completedAtMs = nowMs;
    row.errorDetail = failed?.errorDetail ?? row.errorDetail;
    row.statusDetail = failed?.statusDetail ?? "null";
    const suspicion = remembered(this.#db, row);
    this.#db.suspicions.delete(run.id);
    const cleans = cleanupInMs !== null && Boolean(run.sandboxId) && !run.keepAlive;
    const stampAtMs = cleans && deletionInMs !== null ? nowMs + deletionInMs : null;
    row.sandboxCleanupDueAtMs = stampAtMs ?? row.sandboxCleanupDueAtMs;
    const dueInMs = deletionInMs ?? cleanupInMs ?? 0;
    this.#db.verdicts.push({
      id: this.#db.verdicts.length + 1,
      runId: run.id,
      automationId: run.automationId,
      shard: fence.shard,
      epoch: fence.epoch,
      holder: write.holder,
      trigger: write.trigger,
      decidedAtMs: nowMs,
      outcome: row.status,
      basis: verdict.basis,
      reason: verdict.reason,
      evidence: write.evidence,
      sandboxId: row.sandboxId,
      cleanupState: cleans ? "pending" : "none",
      cleanupAttempts: 0,
      cleanupNextAtMs: cleans ? nowMs + cleanupInMs : null,
      cleanupDueAtMs: cleans && dueInMs > 0 ? nowMs + dueInMs : null,
      cleanupStampAtMs: stampAtMs,
      cleanupError: null,
      firstRunState: run.firstRunOpen ? "pending" : "none",
      overrideReason: write.overrideReason,
      suspicion,
      overturnedAtMs: null,
    });
    return { kind: "written" };
  }

  async defer(write: DeferWrite, fence: Fence): Promise<WriteResult> {
    fence.check();
    const row = this.#guarded(write.run, fence);
    if (row === null) return { kind: "none" };
    if (this.#db.locked.has(row.id)) return { kind: "busy" };
    const askedMs = this.#db.nowMs() + write.deferMs;
    const lookAtMs = Math.min(askedMs, write.notAfterMs ?? askedMs);
    const shield = this.#shield(row, lookAtMs, write.shieldMs);
    this.#note(row, write.suspicion, shield);
    row.timeoutAtMs = shield.timeoutAtMs;
    row.statusDetail = write.statusDetail ?? row.statusDetail;
    return { kind: "written" };
  }

  async deferSkipped(
    runIds: readonly string[],
    query: StaleQuery,
    { deferMs, shieldMs, causes = {} }: SkippedDeferral,
    fence: Fence,
  ): Promise<void> {
    fence.check();
    if (!this.#db.holds(fence)) return;
    const runs = new MemoryRuns(this.#db, query);
    const waiting = runs
      .running()
      .filter((row) => runIds.includes(row.id) && !this.#db.locked.has(row.id) && runs.isStale(row))
      .sort((a, b) => runs.dueAtMs(a) - runs.dueAtMs(b) || (a.id < b.id ? -1 : 1));
    for (const [index, row] of waiting.entries()) {
      const kept: Partial<MemorySuspicion> = remembered(this.#db, row) ?? {
        firstDeadlineAtMs: runs.deadline(row),
      };
      const lookAtMs = query.horizon.ms + deferMs + (index + 1) / 1000;
      const { timeoutAtMs, ...shield } = this.#shield(row, lookAtMs, shieldMs);
      const unknownCause = kept.unknownCause ?? causes[row.id] ?? null;
      const notedAtMs = this.#db.nowMs();
      this.#db.suspect(row.id, { ...kept, ...shield, unknownCause, notedAtMs });
      row.timeoutAtMs = timeoutAtMs;
    }
  }

  async noteError({ runId, cause, retryInMs }: FailedRun, fence: Fence): Promise<void> {
    fence.check();
    const row = this.#db.runs.get(runId);
    if (row?.status !== "RUNNING" || !this.#db.holds(fence)) return;
    const nowMs = this.#db.nowMs();
    const known = remembered(this.#db, row);
    this.#db.suspect(runId, {
      ...known,
      errorTimes: (known?.errorTimes ?? 0) + 1,
      errorCause: cause,
      errorRetryAtMs: nowMs + retryInMs,
      notedAtMs: nowMs,
    });
  }

  async dropSuspicions(fence: Fence): Promise<number> {
    fence.check();
    if (!this.#db.holds(fence)) return 0;
    let endedElsewhere = 0;
    for (const [runId, known] of this.#db.suspicions) {
      const row = this.#db.runs.get(runId);
      if (row?.status === "RUNNING") continue;
      this.#db.suspicions.delete(runId);
      const wasSuspected = known.presumedTimes > 0 || known.heldSinceMs !== null;
      const isTimedOut = row?.status === "FAILED" && row.errorDetail?.startsWith("Timed out: ");
      const isOurs = this.#db.verdicts.some(
        (verdict) => verdict.runId === runId && verdict.basis !== "host",
      );
      if (wasSuspected && isTimedOut && !isOurs) endedElsewhere += 1;
    }
    return endedElsewhere;
  }

  async facts(run: RunSnapshot, of: Pick<Fence, "shard" | "epoch">): Promise<WriteFacts> {
    const isOurs = (row: MemoryVerdict) => row.shard === of.shard && row.epoch === of.epoch;
    return {
      journaled: this.#db.verdicts.some(
        (row) => row.runId === run.id && isOurs(row) && row.basis !== "host",
      ),
      epochIsOurs: this.#db.holds(of),
      rowMatches: this.#matching(run) !== null,
    };
  }

  #note(
    row: MemoryRun,
    change: SuspicionChange,
    {
      lookAtMs,
      shieldAtMs,
    }: { readonly lookAtMs: number | null; readonly shieldAtMs: number | null },
  ): void {
    const nowMs = this.#db.nowMs();
    const known = remembered(this.#db, row);
    const { presumedTimes, presumedReason, unknownTimes, unknownCause } = change;
    const lastAtMs = change.observed ? nowMs : (known?.presumedLastAtMs ?? null);
    this.#db.suspect(row.id, {
      firstDeadlineAtMs: known?.firstDeadlineAtMs ?? row.timeoutAtMs ?? nowMs,
      lookAtMs,
      shieldAtMs,
      presumedTimes,
      presumedReason,
      presumedLastAtMs: presumedTimes === 0 ? null : lastAtMs,
      unknownTimes,
      unknownCause,
      unknownSinceMs: unknownTimes === 0 ? null : (known?.unknownSinceMs ?? nowMs),
      heldSinceMs: change.held ? (known?.heldSinceMs ?? nowMs) : null,
    });
  }

  /** A deadline that lies later stays, and is the host's unless it was ours before. */
  #shield(row: MemoryRun, lookAtMs: number, shieldMs: number) {
    const before = this.#db.suspicions.get(row.id)?.shieldAtMs ?? null;
    const shieldAtMs = lookAtMs + shieldMs;
    const timeoutAtMs = Math.max(row.timeoutAtMs ?? 0, shieldAtMs);
    const isOurs = timeoutAtMs === shieldAtMs || timeoutAtMs === before;
    return isOurs
      ? { timeoutAtMs, lookAtMs, shieldAtMs: timeoutAtMs }
      : { timeoutAtMs, lookAtMs: null, shieldAtMs: null };
  }

  #guarded(run: RunSnapshot, fence: Fence): MemoryRun | null {
    return this.#db.holds(fence) ? this.#matching(run) : null;
  }

  #matching(run: RunSnapshot): MemoryRun | null {
    const row = this.#db.runs.get(run.id);
    const matches =
      row?.status === "RUNNING" &&
      timeoutText(row) === run.timeoutAt &&
      instantText(row.beganAtMs) === run.beganAt &&
      row.sandboxId === run.sandboxId &&
      row.bashCommandId === run.bashCommandId;
    return matches ? row : null;
  }
}

function stateOf(known: MemorySuspicion): WaitingState {
  const { heldSinceMs, errorTimes, unknownTimes, unknownCause, presumedTimes } = known;
  if (heldSinceMs !== null) return "held";
  if (errorTimes > 0) return "failing";
  if (unknownTimes > 0 || unknownCause !== null) return "unanswered";
  return presumedTimes > 0 ? "suspected" : "alive";
}

function grouped(causes: readonly string[]): readonly WaitingCause[] {
  return [...Map.groupBy(causes, (cause) => cause)]
    .map(([cause, { length: count }]) => ({ cause, count }))
    .sort((a, b) => b.count - a.count || (a.cause < b.cause ? -1 : 1))
    .slice(0, 20);
}

/** `null` for a run without a deadline that nobody has deferred. */
function nextLookAtMs(row: MemoryRun, known: MemorySuspicion): number | null {
  const isShielded = known.lookAtMs !== null && known.shieldAtMs === row.timeoutAtMs;
  const dueAtMs = isShielded ? known.lookAtMs : row.timeoutAtMs;
  if (dueAtMs === null) return known.errorRetryAtMs;
  return Math.max(dueAtMs, known.errorRetryAtMs ?? dueAtMs);
}

const UNSUSPECTED = ["completed", "failed", "deferred"];
const ANSWERED = [...UNSUSPECTED, "suspected", "held"];

function startedAtMs(report: object | null): number {
  const startedAt: unknown = report === null ? null : Reflect.get(report, "startedAt");
  return typeof startedAt === "string" ? Date.parse(startedAt) : -Infinity;
}

function answeredIn(report: object | null, keys: readonly string[]): number {
  const counts: unknown = report === null ? null : Reflect.get(report, "counts");
  if (typeof counts !== "object" || counts === null) return 0;
  return keys.reduce((sum, key) => sum + Number(Reflect.get(counts, key) ?? 0), 0);
}

/** A page that is not full is the last one of its part. */
function pageOf(
  rows: readonly MemoryRun[],
  limit: number,
  nextPart: PageCursor | null,
  cursorAt: (last: MemoryRun) => PageCursor,
): StalePage {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const isLastPage = last === undefined || page.length < limit;
  return { ids: page.map(({ id }) => id), next: isLastPage ? nextPart : cursorAt(last) };
}

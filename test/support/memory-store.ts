import type { RunSnapshot } from "../../src/rules/model.ts";
import type {
  Backlog,
  DeferWrite,
  Fence,
  PageCursor,
  RunStore,
  StalePage,
  StaleQuery,
  TerminalWrite,
  WriteFacts,
  WriteResult,
} from "../../src/watchdog/ports.ts";
import type { MemoryDatabase, MemoryRun } from "./memory-database.ts";

/** The model of the run store: keeps the promises of the port on tables in memory. */
export class MemoryStore implements RunStore {
  readonly #db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async backlog(query: StaleQuery): Promise<Backlog> {
    const stale = this.#stale(query);
    const deadlines = stale.map((row) => deadlineOf(row, query));
    const oldestMs = stale.length === 0 ? null : query.horizon.ms - Math.min(...deadlines);
    return { count: stale.length, oldestOverdueMs: oldestMs };
  }

  async stalePage(query: StaleQuery, cursor: PageCursor | null, limit: number): Promise<StalePage> {
    const stale = this.#stale(query);
    if (cursor?.part === "no-deadline") {
      const rest = stale
        .filter((row) => row.timeoutAtMs === null && row.id > (cursor.id ?? ""))
        .sort((a, b) => (a.id < b.id ? -1 : 1));
      const page = rest.slice(0, limit);
      const last = page.at(-1);
      const isLastPage = last === undefined || page.length < limit;
      return { ids: idsOf(page), next: isLastPage ? null : { part: "no-deadline", id: last.id } };
    }
    const page = stale
      .filter((row) => row.timeoutAtMs !== null && isAfter(row, cursor))
      .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
      .slice(0, limit);
    const last = page.at(-1);
    if (last === undefined || page.length < limit) {
      return { ids: idsOf(page), next: { part: "no-deadline", id: null } };
    }
    const timeoutAt = timeoutText(last) ?? "";
    return { ids: idsOf(page), next: { part: "deadline", timeoutAt, id: last.id } };
  }

  async read(runId: string, query: StaleQuery): Promise<RunSnapshot | null> {
    const row = this.#db.runs.get(runId);
    if (row === undefined) return null;
    return {
      id: row.id,
      automationId: row.automationId,
      userId: null,
      orgId: null,
      status: row.status,
      stale: isStale(row, query),
      timeoutAt: timeoutText(row),
      sandboxId: row.sandboxId,
      bashCommandId: row.bashCommandId,
      beganAtMs: row.beganAtMs,
      timeoutS: row.timeoutS,
      keepAlive: row.keepAlive,
      firstRunOpen: this.#db.presets.get(row.automationId)?.includes('"template"') ?? false,
      statusDetail: row.statusDetail === null ? null : JSON.parse(row.statusDetail),
      readAt: this.#db.nowText(),
    };
  }

  async apply(write: TerminalWrite, fence: Fence): Promise<WriteResult> {
    fence.check();
    const { run, verdict, cleanupInMs } = write;
    const row = this.#guarded(run, fence.epoch);
    if (row === null) return { kind: "none" };
    if (this.#db.locked.has(run.id)) return { kind: "busy" };
    const nowMs = this.#db.nowMs();
    const failed = verdict.kind === "fail" ? verdict : null;
    row.status = failed === null ? "COMPLETED" : "FAILED";
    row.completedAtMs = nowMs;
    row.errorDetail = failed?.errorDetail ?? row.errorDetail;
    row.statusDetail = failed?.statusDetail ?? "null";
    const cleans = cleanupInMs !== null && run.sandboxId !== null && !run.keepAlive;
    this.#db.verdicts.push({
      id: this.#db.verdicts.length + 1,
      runId: run.id,
      automationId: run.automationId,
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
      cleanupError: null,
      firstRunState: run.firstRunOpen ? "pending" : "none",
    });
    return { kind: "written" };
  }

  async defer(write: DeferWrite, fence: Fence): Promise<WriteResult> {
    fence.check();
    const row = this.#guarded(write.run, fence.epoch);
    if (row === null) return { kind: "none" };
    if (this.#db.locked.has(row.id)) return { kind: "busy" };
    const deferredMs = this.#db.nowMs() + write.deferMs;
    row.timeoutAtMs = Math.min(deferredMs, write.notAfterMs ?? deferredMs);
    row.statusDetail = write.statusDetail ?? "null";
    return { kind: "written" };
  }

  async facts(run: RunSnapshot, epoch: number): Promise<WriteFacts> {
    return {
      journaled: this.#db.verdicts.some((row) => row.runId === run.id && row.epoch === epoch),
      epochIsOurs: this.#db.leadership.epoch === epoch,
      rowMatches: this.#matching(run) !== null,
    };
  }

  #stale(query: StaleQuery): MemoryRun[] {
    return [...this.#db.runs.values()].filter((row) => isStale(row, query));
  }

  #guarded(run: RunSnapshot, epoch: number): MemoryRun | null {
    return this.#db.leadership.epoch === epoch ? this.#matching(run) : null;
  }

  #matching(run: RunSnapshot): MemoryRun | null {
    const row = this.#db.runs.get(run.id);
    const matches =
      row?.status === "RUNNING" &&
      timeoutText(row) === run.timeoutAt &&
      row.sandboxId === run.sandboxId &&
      row.bashCommandId === run.bashCommandId;
    return matches ? row : null;
  }
}

function isStale(row: MemoryRun, query: StaleQuery): boolean {
  return row.status === "RUNNING" && deadlineOf(row, query) < query.horizon.ms;
}

function deadlineOf(row: MemoryRun, query: StaleQuery): number {
  return row.timeoutAtMs ?? row.beganAtMs + query.nullDeadlineAfterMs;
}

function isAfter(row: MemoryRun, cursor: PageCursor | null): boolean {
  return cursor?.part !== "deadline" || keyOf(row) > `${cursor.timeoutAt} ${cursor.id}`;
}

function keyOf(row: MemoryRun): string {
  return `${timeoutText(row)} ${row.id}`;
}

function idsOf(rows: readonly MemoryRun[]): readonly string[] {
  return rows.map((row) => row.id);
}

function timeoutText(row: MemoryRun): string | null {
  return row.timeoutAtMs === null ? null : new Date(row.timeoutAtMs).toISOString();
}

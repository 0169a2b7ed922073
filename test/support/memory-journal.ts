import { CLAIM_MS } from "../../src/rules/cleanup-retry.ts";
import type { Fence } from "../../src/watchdog/ports.ts";
import type { CleanupTask, FirstRunTask, Journal } from "../../src/watchdog/store-ports.ts";
import type { MemoryDatabase, MemoryRun, MemoryVerdict } from "./memory-database.ts";

const GIVE_UP_AFTER_MS = 24 * 60 * 60_000;
const ADOPT_WITHIN_MS = 60 * 60_000;

/** The model of the journal: what is still to be done about ended runs, from the verdicts in memory. */
export class MemoryJournal implements Journal {
  readonly #db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async claimCleanups(fence: Fence, limit: number): Promise<readonly CleanupTask[]> {
    while (true) {
      fence.check();
      if (this.#db.leadership.epoch !== fence.epoch) return [];
      const due = this.#pending()
        .filter((row) => this.#isDue(row) && this.#goesFirst(row))
        .sort((a, b) => (a.cleanupNextAtMs ?? 0) - (b.cleanupNextAtMs ?? 0))
        .slice(0, limit);
      const tasks = due.flatMap((row) => this.#claim(row));
      if (tasks.length > 0 || due.length === 0) return tasks;
    }
  }

  #pending(): MemoryVerdict[] {
    return this.#db.verdicts.filter((row) => row.cleanupState === "pending");
  }

  #isDue(row: MemoryVerdict): boolean {
    return (row.cleanupNextAtMs ?? 0) <= this.#db.nowMs();
  }

  /** Of those that name the same sandbox, when all are due: the one with most attempts, the oldest of them. */
  #goesFirst(row: MemoryVerdict): boolean {
    const others = this.#pending().filter(
      (other) => other.sandboxId === row.sandboxId && other.id !== row.id,
    );
    const isAhead = (other: MemoryVerdict) =>
      other.cleanupAttempts === row.cleanupAttempts
        ? other.id < row.id
        : other.cleanupAttempts > row.cleanupAttempts;
    return !others.some((other) => !this.#isDue(other) || isAhead(other));
  }

  #claim(row: MemoryVerdict): CleanupTask[] {
    const { id, runId, sandboxId } = row;
    row.cleanupNextAtMs = this.#db.nowMs() + CLAIM_MS;
    if (row.basis === "presumption" && !this.#stillOurs(row)) {
      row.cleanupState = "none";
      return [];
    }
    if (this.#isNamed(sandboxId)) return [];
    row.cleanupAttempts += 1;
    if (sandboxId === null) return [];
    return [{ id, runId, userId: null, orgId: null, sandboxId, attempts: row.cleanupAttempts }];
  }

  #isNamed(sandboxId: string | null): boolean {
    return [...this.#db.runs.values()].some(
      (run) => run.status === "RUNNING" && run.sandboxId === sandboxId,
    );
  }

  async cleanupDone(id: number, note: string | null, fence: Fence): Promise<void> {
    const sandboxId = this.#writable(id, fence)?.sandboxId;
    if (sandboxId === undefined) return;
    for (const row of this.#pending()) {
      if (row.sandboxId !== sandboxId) continue;
      row.cleanupState = "done";
      row.cleanupNextAtMs = null;
      row.cleanupError = note;
    }
  }

  async cleanupFailed(
    id: number,
    error: string,
    retryInMs: number,
    fence: Fence,
  ): Promise<"pending" | "abandoned"> {
    const row = this.#writable(id, fence);
    if (row?.cleanupState !== "pending") return "pending";
    const nowMs = this.#db.nowMs();
    row.cleanupError = error;
    row.cleanupNextAtMs = nowMs + retryInMs;
    if (nowMs - row.decidedAtMs > GIVE_UP_AFTER_MS) row.cleanupState = "abandoned";
    return row.cleanupState;
  }

  async pendingCleanups(): Promise<number> {
    return this.#db.verdicts.filter((row) => row.cleanupState === "pending").length;
  }

  async openFirstRuns(
    afterAutomation: string | null,
    limit: number,
    presumedForMs: number,
  ): Promise<readonly FirstRunTask[]> {
    const oldest = new Map<string, MemoryVerdict>();
    for (const row of this.#db.verdicts) {
      if (row.firstRunState === "pending" && row.automationId > (afterAutomation ?? "")) {
        if (!oldest.has(row.automationId)) oldest.set(row.automationId, row);
      }
    }
    const sinceMs = this.#db.nowMs() - presumedForMs;
    return [...oldest.values()]
      .filter(({ basis, decidedAtMs }) => basis === "proof" || decidedAtMs <= sinceMs)
      .sort((a, b) => (a.automationId < b.automationId ? -1 : 1))
      .slice(0, limit)
      .map(({ automationId, runId, basis, outcome }) => ({
        automationId,
        runId,
        basis,
        outcome,
        metadata: this.#db.presets.get(automationId) ?? null,
        readAt: this.#db.nowText(),
      }));
  }

  async recordFirstRun(task: FirstRunTask, metadata: string, fence: Fence): Promise<boolean> {
    fence.check();
    const { automationId, runId } = task;
    if (this.#db.leadership.epoch !== fence.epoch || this.#db.locked.has(automationId)) {
      return false;
    }
    const stands = this.#presumedDead(runId) !== null && !this.#db.locked.has(runId);
    if (task.basis !== "proof" && !stands) return false;
    if (this.#db.presets.get(automationId) !== task.metadata) return false;
    this.#db.presets.set(automationId, metadata);
    return true;
  }

  async closeOverturnedFirstRuns(fence: Fence): Promise<number> {
    fence.check();
    if (this.#db.leadership.epoch !== fence.epoch) return 0;
    const overturned = this.#db.verdicts.filter(
      ({ firstRunState, basis, runId }) =>
        firstRunState === "pending" &&
        basis === "presumption" &&
        this.#presumedDead(runId) === null,
    );
    for (const row of overturned) row.firstRunState = "none";
    return overturned.length;
  }

  async firstRunDone(automationId: string, fence: Fence): Promise<void> {
    fence.check();
    if (this.#db.leadership.epoch !== fence.epoch) return;
    for (const row of this.#db.verdicts) {
      if (row.automationId === automationId && row.firstRunState === "pending") {
        row.firstRunState = "done";
      }
    }
  }

  async adoptLateSandboxes(delayMs: number, fence: Fence): Promise<number> {
    fence.check();
    if (this.#db.leadership.epoch !== fence.epoch) return 0;
    const nowMs = this.#db.nowMs();
    const late = this.#db.verdicts.flatMap((row) => {
      const run = this.#presumedDead(row.runId);
      const isLate =
        row.basis === "presumption" &&
        row.cleanupState === "none" &&
        run?.keepAlive === false &&
        !row.sandboxId &&
        nowMs - row.decidedAtMs < ADOPT_WITHIN_MS;
      return isLate && run?.sandboxId ? [{ row, sandboxId: run.sandboxId }] : [];
    });
    for (const { row, sandboxId } of late) {
      row.sandboxId = sandboxId;
      row.cleanupState = "pending";
      row.cleanupNextAtMs = nowMs + delayMs;
    }
    return late.length;
  }

  async prune(olderThanMs: number, limit: number, fence: Fence): Promise<number> {
    fence.check();
    const { verdicts, leadership } = this.#db;
    if (leadership.epoch !== fence.epoch) return 0;
    const nowMs = this.#db.nowMs();
    const old = verdicts
      .filter(
        (row) =>
          nowMs - row.decidedAtMs > olderThanMs &&
          row.cleanupState !== "pending" &&
          row.firstRunState !== "pending",
      )
      .slice(0, limit);
    for (const row of old) verdicts.splice(verdicts.indexOf(row), 1);
    return old.length;
  }

  #writable(id: number, fence: Fence): MemoryVerdict | null {
    fence.check();
    if (this.#db.leadership.epoch !== fence.epoch) return null;
    return this.#db.verdicts.find((row) => row.id === id) ?? null;
  }

  #stillOurs({ runId, sandboxId }: MemoryVerdict): boolean {
    const run = this.#presumedDead(runId);
    return run?.sandboxId === sandboxId && !run.keepAlive;
  }

  /** The run as a presumption leaves it. */
  #presumedDead(runId: string): MemoryRun | null {
    const run = this.#db.runs.get(runId);
    const dead = run?.status === "FAILED" && run.errorDetail?.startsWith("Timed out: ") === true;
    return dead ? run : null;
  }
}

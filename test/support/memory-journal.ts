import type { CleanupTask, Fence, FirstRunTask, Journal } from "../../src/watchdog/ports.ts";
import type { MemoryDatabase, MemoryVerdict } from "./memory-database.ts";

const CLAIM_FOR_MS = 5 * 60_000;
const GIVE_UP_AFTER_MS = 24 * 60 * 60_000;

/** The model of the journal: what is still to be done about ended runs, from the verdicts in memory. */
export class MemoryJournal implements Journal {
  readonly #db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async claimCleanups(fence: Fence, limit: number): Promise<readonly CleanupTask[]> {
    fence.check();
    if (this.#db.leadership.epoch !== fence.epoch) return [];
    const nowMs = this.#db.nowMs();
    const due = this.#db.verdicts
      .filter((row) => row.cleanupState === "pending" && (row.cleanupNextAtMs ?? 0) <= nowMs)
      .slice(0, limit);
    for (const row of due) {
      row.cleanupAttempts += 1;
      row.cleanupNextAtMs = nowMs + CLAIM_FOR_MS;
      if (row.basis === "presumption" && !this.#stillOurs(row)) row.cleanupState = "none";
    }
    return due.flatMap(({ cleanupState, sandboxId, id, runId, cleanupAttempts }) =>
      cleanupState === "pending" && sandboxId !== null
        ? [{ id, runId, userId: null, orgId: null, sandboxId, attempts: cleanupAttempts }]
        : [],
    );
  }

  async cleanupDone(id: number, fence: Fence): Promise<void> {
    const row = this.#writable(id, fence);
    if (row === null) return;
    row.cleanupState = "done";
    row.cleanupNextAtMs = null;
    row.cleanupError = null;
  }

  async cleanupFailed(
    id: number,
    error: string,
    retryInMs: number,
    fence: Fence,
  ): Promise<"pending" | "abandoned"> {
    const row = this.#writable(id, fence);
    if (row === null) return "pending";
    const nowMs = this.#db.nowMs();
    row.cleanupError = error;
    row.cleanupNextAtMs = nowMs + retryInMs;
    if (nowMs - row.decidedAtMs > GIVE_UP_AFTER_MS) row.cleanupState = "abandoned";
    return row.cleanupState === "abandoned" ? "abandoned" : "pending";
  }

  async pendingCleanups(): Promise<number> {
    return this.#db.verdicts.filter((row) => row.cleanupState === "pending").length;
  }

  async openFirstRuns(
    afterAutomation: string | null,
    limit: number,
  ): Promise<readonly FirstRunTask[]> {
    const oldest = new Map<string, MemoryVerdict>();
    for (const row of this.#db.verdicts) {
      if (row.firstRunState === "pending" && row.automationId > (afterAutomation ?? "")) {
        if (!oldest.has(row.automationId)) oldest.set(row.automationId, row);
      }
    }
    return [...oldest.values()]
      .sort((a, b) => (a.automationId < b.automationId ? -1 : 1))
      .slice(0, limit)
      .map(({ automationId, outcome }) => ({
        automationId,
        outcome,
        metadata: this.#db.presets.get(automationId) ?? null,
        readAt: this.#db.nowText(),
      }));
  }

  async recordFirstRun(task: FirstRunTask, metadata: string, fence: Fence): Promise<boolean> {
    fence.check();
    const { automationId } = task;
    if (this.#db.leadership.epoch !== fence.epoch || this.#db.locked.has(automationId)) {
      return false;
    }
    if (this.#db.presets.get(automationId) !== task.metadata) return false;
    this.#db.presets.set(automationId, metadata);
    return true;
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

  #writable(id: number, fence: Fence): MemoryVerdict | null {
    fence.check();
    if (this.#db.leadership.epoch !== fence.epoch) return null;
    return this.#db.verdicts.find((row) => row.id === id) ?? null;
  }

  #stillOurs(verdict: MemoryVerdict): boolean {
    const run = this.#db.runs.get(verdict.runId);
    return (
      run?.status === "FAILED" &&
      run.errorDetail?.startsWith("Timed out: ") === true &&
      run.sandboxId === verdict.sandboxId &&
      !run.keepAlive
    );
  }
}

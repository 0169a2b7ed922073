import type { CleanupPlan } from "../../../src/rules/cleanup/cleanup-plan.ts";
import type {
  CleanupTask,
  FirstRunTask,
  Journal,
  OverturnedVerdict,
} from "../../../src/watchdog/journal-ports.ts";
import type { Fence } from "../../../src/watchdog/ports.ts";
import { ENDS, MemoryCleanups, presumedDead } from "./memory-cleanups.ts";
import type { MemoryDatabase, MemoryVerdict } from "./memory-database.ts";

/** The model of the journal: what is still to be done about ended runs, from the verdicts in memory. */
export class MemoryJournal implements Journal {
  readonly #db: MemoryDatabase;
  readonly #cleanups: MemoryCleanups;

  constructor(db: MemoryDatabase) {
    this.#db = db;
    this.#cleanups = new MemoryCleanups(db);
  }

  claimCleanups(fence: Fence, limit: number): Promise<readonly CleanupTask[]> {
    return this.#cleanups.claimCleanups(fence, limit);
  }

  cleanupDone(id: number, note: string | null, fence: Fence): Promise<void> {
    return this.#cleanups.cleanupDone(id, note, fence);
  }

  cleanupFailed(
    id: number,
    error: string,
    retryInMs: number,
    fence: Fence,
  ): Promise<"pending" | "abandoned"> {
    return this.#cleanups.cleanupFailed(id, error, retryInMs, fence);
  }

  adoptLateSandboxes(plan: CleanupPlan, fence: Fence): Promise<number> {
    return this.#cleanups.adoptLateSandboxes(plan, fence);
  }

  adoptOverdueStamps(limit: number, fence: Fence): Promise<number> {
    return this.#cleanups.adoptOverdueStamps(limit, fence);
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
    if (!this.#db.holds(fence) || this.#db.locked.has(automationId)) {
      return false;
    }
    const stands = presumedDead(this.#db, runId) !== null && !this.#db.locked.has(runId);
    if (task.basis !== "proof" && !stands) return false;
    if (this.#db.presets.get(automationId) !== task.metadata) return false;
    this.#db.presets.set(automationId, metadata);
    return true;
  }

  async closeOverturnedFirstRuns(fence: Fence): Promise<number> {
    fence.check();
    if (!this.#db.holds(fence)) return 0;
    const overturned = this.#db.verdicts.filter(
      ({ firstRunState, basis, runId }) =>
        firstRunState === "pending" &&
        basis === "presumption" &&
        presumedDead(this.#db, runId) === null,
    );
    for (const row of overturned) row.firstRunState = "none";
    return overturned.length;
  }

  async firstRunDone(automationId: string, fence: Fence): Promise<void> {
    fence.check();
    if (!this.#db.holds(fence)) return;
    for (const row of this.#db.verdicts) {
      if (row.automationId === automationId && row.firstRunState === "pending") {
        row.firstRunState = "done";
      }
    }
  }

  async markOverturned(
    withinMs: number,
    limit: number,
    fence: Fence,
  ): Promise<readonly OverturnedVerdict[]> {
    fence.check();
    if (!this.#db.holds(fence)) return [];
    const sinceMs = this.#db.nowMs() - withinMs;
    const overturned = this.#db.verdicts.filter((row) => {
      if (row.basis !== "presumption" || row.overturnedAtMs !== null) return false;
      const run = this.#db.runs.get(row.runId);
      const hasEnded = run !== undefined && ENDS.includes(run.status);
      const isSame = hasEnded && run.beganAtMs <= row.decidedAtMs;
      return row.decidedAtMs > sinceMs && isSame && presumedDead(this.#db, row.runId) === null;
    });
    const marked = overturned.slice(0, limit);
    for (const row of marked) row.overturnedAtMs = this.#db.nowMs();
    return marked.map((row) => {
      const { runId, automationId, outcome, reason, decidedAtMs } = row;
      const run = this.#db.runs.get(runId);
      const laterMs = (run?.completedAtMs ?? decidedAtMs) - decidedAtMs;
      return {
        runId,
        automationId,
        outcome,
        reason,
        decidedAt: new Date(decidedAtMs).toISOString(),
        statusNow: run?.status ?? "",
        laterMs: laterMs > 0 ? laterMs : null,
        sandboxDeleted: row.sandboxId === null ? null : row.cleanupState === "done",
      };
    });
  }

  async prune(olderThanMs: number, limit: number, fence: Fence): Promise<number> {
    fence.check();
    const { verdicts } = this.#db;
    if (!this.#db.holds(fence)) return 0;
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
}

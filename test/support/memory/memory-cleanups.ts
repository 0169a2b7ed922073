import type { CleanupPlan } from "../../../src/rules/cleanup/cleanup-plan.ts";
import { CLAIM_MS } from "../../../src/rules/cleanup/cleanup-retry.ts";
import type { CleanupTask, Journal } from "../../../src/watchdog/journal-ports.ts";
import type { Fence } from "../../../src/watchdog/ports.ts";
import type { MemoryDatabase, MemoryRun, MemoryVerdict } from "./memory-database.ts";

const GIVE_UP_AFTER_MS = 24 * 60 * 60_000;
const ADOPT_WITHIN_MS = 60 * 60_000;
const OVERDUE_AFTER_MS = 5 * 60_000;
export const ENDS = ["COMPLETED", "FAILED", "CANCELLED", "SKIPPED"];

/** The part of the journal's model that is about sandboxes. */
export class MemoryCleanups
  implements
    Pick<
      Journal,
      | "claimCleanups"
      | "cleanupDone"
      | "cleanupFailed"
      | "adoptLateSandboxes"
      | "adoptOverdueStamps"
    >
{
  readonly #db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async claimCleanups(fence: Fence, limit: number): Promise<readonly CleanupTask[]> {
    while (true) {
      fence.check();
      if (!this.#db.holds(fence)) return [];
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

  #isToPause({ cleanupStampAtMs, cleanupDueAtMs }: MemoryVerdict): boolean {
    return cleanupStampAtMs !== null && (cleanupDueAtMs ?? 0) > this.#db.nowMs();
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
    const isInTheWay = (other: MemoryVerdict) =>
      !this.#isDue(other) || (this.#isToPause(other) && !this.#isToPause(row)) || isAhead(other);
    return !others.some(isInTheWay);
  }

  #claim(row: MemoryVerdict): CleanupTask[] {
    const { id, runId, sandboxId } = row;
    const run = this.#db.runs.get(runId);
    const isStamped = run !== undefined && row.cleanupStampAtMs !== null;
    row.cleanupNextAtMs = this.#db.nowMs() + CLAIM_MS;
    if (!this.#stillOurs(row) || this.#isKept(row)) return this.#spare(row);
    if (isStamped && run.sandboxCleanupDueAtMs === null) {
      row.cleanupState = "done";
      row.cleanupNextAtMs = null;
      row.cleanupError = "the host took it over";
      return [];
    }
    if (isStamped && run.sandboxCleanupDueAtMs !== row.cleanupStampAtMs) return this.#spare(row);
    if (this.#isNamed(sandboxId)) return [];
    const owner = { userId: null, orgId: null };
    if (this.#isToPause(row)) {
      row.cleanupNextAtMs = row.cleanupDueAtMs;
      const pauseWithinMs = (row.cleanupDueAtMs ?? 0) - this.#db.nowMs();
      return sandboxId === null
        ? []
        : [{ id, runId, ...owner, sandboxId, attempts: 0, pauseWithinMs }];
    }
    if (isStamped && this.#db.locked.has(runId)) return [];
    this.#stamp(row, this.#db.nowMs() + CLAIM_MS);
    row.cleanupAttempts += 1;
    const attempts = row.cleanupAttempts;
    return sandboxId === null
      ? []
      : [{ id, runId, ...owner, sandboxId, attempts, pauseWithinMs: null }];
  }

  #spare(row: MemoryVerdict): [] {
    row.cleanupState = "none";
    this.#stamp(row, null);
    return [];
  }

  /** Only a stamp that still is ours, and of a row that nobody is writing. */
  #stamp(row: MemoryVerdict, atMs: number | null): void {
    const run = this.#db.runs.get(row.runId);
    if (run === undefined || row.cleanupStampAtMs === null || this.#db.locked.has(run.id)) return;
    if (run.sandboxCleanupDueAtMs !== row.cleanupStampAtMs) return;
    run.sandboxCleanupDueAtMs = atMs;
    row.cleanupStampAtMs = atMs ?? row.cleanupStampAtMs;
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
      this.#stamp(row, null);
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
    const isGivenUp = nowMs - (row.cleanupDueAtMs ?? row.decidedAtMs) > GIVE_UP_AFTER_MS;
    if (isGivenUp) row.cleanupState = "abandoned";
    this.#stamp(row, isGivenUp ? null : nowMs + retryInMs + CLAIM_MS);
    return row.cleanupState;
  }

  async adoptLateSandboxes(plan: CleanupPlan, fence: Fence): Promise<number> {
    fence.check();
    if (!this.#db.holds(fence)) return 0;
    const { cleanupInMs, deletionInMs } = plan;
    const nowMs = this.#db.nowMs();
    const late = this.#db.verdicts.flatMap((row) => {
      const run = presumedDead(this.#db, row.runId);
      const isLate =
        row.basis === "presumption" &&
        row.cleanupState === "none" &&
        run?.keepAlive === false &&
        !row.sandboxId &&
        nowMs - row.decidedAtMs < ADOPT_WITHIN_MS;
      return isLate && run?.sandboxId && !this.#db.locked.has(run.id) ? [{ row, run }] : [];
    });
    for (const { row, run } of late) {
      row.sandboxId = run.sandboxId;
      row.cleanupState = "pending";
      row.cleanupNextAtMs = nowMs + cleanupInMs;
      row.cleanupDueAtMs = nowMs + (deletionInMs ?? cleanupInMs);
      if (deletionInMs === null) continue;
      row.cleanupStampAtMs = nowMs + deletionInMs;
      run.sandboxCleanupDueAtMs = nowMs + deletionInMs;
    }
    return late.length;
  }

  async adoptOverdueStamps(limit: number, fence: Fence): Promise<number> {
    fence.check();
    const { verdicts, locked } = this.#db;
    if (!this.#db.holds(fence)) return 0;
    const nowMs = this.#db.nowMs();
    const verdictsOf = (run: MemoryRun) => verdicts.filter(({ runId }) => runId === run.id);
    const wasOurs = (run: MemoryRun) =>
      verdictsOf(run).some(({ cleanupStampAtMs: at }) => at === run.sandboxCleanupDueAtMs);
    const overdue = [...this.#db.runs.values()]
      .filter(({ sandboxCleanupDueAtMs: at }) => at !== null && at <= nowMs - OVERDUE_AFTER_MS)
      .filter(({ id, status }) => ENDS.includes(status) && !locked.has(id))
      .filter((run) => !verdictsOf(run).some(({ cleanupState }) => cleanupState === "pending"))
      .filter((run) => wasOurs(run) || (Boolean(run.sandboxId) && !run.keepAlive))
      .sort((a, b) => (a.sandboxCleanupDueAtMs ?? 0) - (b.sandboxCleanupDueAtMs ?? 0))
      .slice(0, limit);
    const adopted = overdue.filter((run) => !wasOurs(run));
    for (const run of overdue) {
      run.sandboxCleanupDueAtMs = adopted.includes(run) ? nowMs + CLAIM_MS : null;
    }
    for (const run of adopted) this.#adopt(run, fence.epoch);
    return adopted.length;
  }

  #adopt(run: MemoryRun, epoch: number): void {
    const { verdicts } = this.#db;
    verdicts.push({
      id: Math.max(0, ...verdicts.map(({ id }) => id)) + 1,
      runId: run.id,
      automationId: run.automationId,
      shard: 0,
      epoch,
      holder: "host",
      trigger: "host",
      decidedAtMs: this.#db.nowMs(),
      outcome: run.status,
      basis: "host",
      reason: "sandbox_cleanup_due_at",
      evidence: {},
      sandboxId: run.sandboxId,
      cleanupState: "pending",
      cleanupAttempts: 0,
      cleanupNextAtMs: this.#db.nowMs(),
      cleanupDueAtMs: null,
      cleanupStampAtMs: run.sandboxCleanupDueAtMs,
      cleanupError: null,
      firstRunState: "none",
      overrideReason: null,
      overturnedAtMs: null,
    });
  }

  #writable(id: number, fence: Fence): MemoryVerdict | null {
    fence.check();
    if (!this.#db.holds(fence)) return null;
    return this.#db.verdicts.find((row) => row.id === id) ?? null;
  }

  #stillOurs({ basis, runId, sandboxId }: MemoryVerdict): boolean {
    if (basis === "proof") return true;
    const run = basis === "host" ? this.#ended(runId) : presumedDead(this.#db, runId);
    return run !== null && run.sandboxId === sandboxId;
  }

  /** As any run of the automation says. */
  #isKept({ automationId }: MemoryVerdict): boolean {
    return [...this.#db.runs.values()].some(
      (run) => run.automationId === automationId && run.keepAlive,
    );
  }

  #ended(runId: string): MemoryRun | null {
    const run = this.#db.runs.get(runId);
    return run !== undefined && ENDS.includes(run.status) ? run : null;
  }
}

/** The run as a presumption leaves it. */
export function presumedDead(db: MemoryDatabase, runId: string): MemoryRun | null {
  const run = db.runs.get(runId);
  const dead = run?.status === "FAILED" && run.errorDetail?.startsWith("Timed out: ") === true;
  return dead ? run : null;
}

/** A journal with verdicts of the test's choice, the same on PostgreSQL and in memory. */

import type { Journal, JournalReader } from "../../../src/watchdog/journal-ports.ts";
import type { Fence } from "../../../src/watchdog/ports.ts";
import { FakeClock } from "../memory/fake-clock.ts";
import { MemoryDatabase } from "../memory/memory-database.ts";
import { MemoryJournal } from "../memory/memory-journal.ts";
import { MemoryJournalReader } from "../memory/memory-journal-reader.ts";
import { noCheck } from "./stores.ts";

export interface JournalStand extends AsyncDisposable {
  readonly journal: Journal;
  readonly reader: JournalReader;
  /** Of the newest epoch. */
  readonly fence: Fence;
  /** A verdict and the run it ended, whose id is returned. */
  verdict(seed?: VerdictSeed): Promise<string>;
  /** A run that the host has ended and stamped, of which the journal knows nothing. */
  stamped(seed: StampedSeed): Promise<string>;
  /** Until the host's stamp on the run, as `dueInS`; `null`: there is none. */
  stampInS(runId: string): Promise<number | null>;
  /** Who is said to have decided about the run, in the order of the journal. */
  bases(runId: string): Promise<readonly string[]>;
  /** The host changes a run. */
  changeRun(runId: string, changes: RunChanges): Promise<void>;
  removeRun(runId: string): Promise<void>;
  /** The host's automation keeps its sandboxes from now on. */
  keepSandboxes(runId: string): Promise<void>;
  entry(runId: string): Promise<JournalEntry | null>;
  /** Whether its verdict is noted as overturned. */
  overturned(runId: string): Promise<boolean>;
  /** `preset_metadata` of the run's automation. */
  preset(runId: string): Promise<string | null>;
  firstRunState(runId: string): Promise<string | null>;
  /** Somebody else is writing the run's row while `work` goes on. */
  whileLocked(runId: string, work: () => Promise<void>): Promise<void>;
  /** Lets so much time go by. */
  pass(ms: number): Promise<void>;
  /** Somebody else takes over; `fence` is of the past from now on. */
  takeOver(): Promise<Fence>;
}

export interface VerdictSeed {
  readonly basis?: "proof" | "presumption";
  readonly outcome?: "COMPLETED" | "FAILED";
  /** Of verdict and run; random by default. */
  readonly sandboxId?: string | null;
  readonly cleanupState?: "none" | "pending" | "done" | "abandoned";
  /** Milliseconds until the clean-up is due; 0 by default. */
  readonly dueInMs?: number;
  /** Milliseconds until a deferred deletion, with which the row is stamped. */
  readonly deletionInMs?: number;
  readonly attempts?: number;
  /** With `pending` the automation waits for its first outcome. */
  readonly firstRunState?: "none" | "pending" | "done";
  /** An earlier run, whose automation it shares. */
  readonly like?: string;
}

export interface RunChanges {
  readonly status?: string;
  readonly errorDetail?: string | null;
  readonly sandboxId?: string | null;
  /** Milliseconds from now to the host's stamp; `null` takes it away. */
  readonly stampInMs?: number | null;
  /** The host starts the run anew in its row. */
  readonly restarted?: true;
  /** The host notes that it ended just now. */
  readonly completed?: true;
}

export interface JournalEntry {
  readonly state: string;
  readonly attempts: number;
  readonly error: string | null;
  readonly sandboxId: string | null;
  /** Until the next attempt, rounded up to full tens of seconds; `null` for never. */
  readonly dueInS: number | null;
}

/** A run that the host has ended and whose sandbox it has not deleted yet. */
export interface StampedSeed {
  readonly status?: string;
  readonly sandboxId?: string | null;
  /** How long the stamp is overdue. */
  readonly overdueMs: number;
}

const PRESUMED = "Timed out: Sandbox not available";
export const WAITING = '{"template":{}}';

/** What a verdict is when nothing else is asked for. */
export function complete(seed: VerdictSeed) {
  const { basis = "proof", cleanupState = "pending", dueInMs = 0, sandboxId } = seed;
  const { deletionInMs = null } = seed;
  return {
    deletionInMs,
    deletionDueInMs: deletionInMs ?? (dueInMs > 0 ? dueInMs : null),
    basis,
    outcome: seed.outcome ?? "FAILED",
    sandboxId: sandboxId === undefined ? crypto.randomUUID() : sandboxId,
    cleanupState,
    dueInMs: cleanupState === "pending" ? dueInMs : null,
    attempts: seed.attempts ?? 0,
    firstRunState: seed.firstRunState ?? ("none" as const),
    errorDetail: basis === "proof" ? "exit_code=1" : PRESUMED,
  };
}

export async function memoryJournalStand(): Promise<JournalStand> {
  const clock = new FakeClock();
  const db = new MemoryDatabase(clock);
  return {
    journal: new MemoryJournal(db),
    reader: new MemoryJournalReader(db),
    fence: { shard: 0, epoch: db.takeEpoch(), check: noCheck },
    async verdict(seed = {}) {
      const { errorDetail, dueInMs, attempts, deletionInMs, deletionDueInMs, ...rest } =
        complete(seed);
      const at = (ms: number | null) => (ms === null ? null : db.nowMs() + ms);
      const like = db.runs.get(seed.like ?? "");
      const { runId, automationId } = db.addVerdict({
        ...rest,
        ...(like === undefined ? {} : { automationId: like.automationId }),
        cleanupAttempts: attempts,
        cleanupNextAtMs: at(dueInMs),
        cleanupDueAtMs: at(deletionDueInMs),
        cleanupStampAtMs: at(deletionInMs),
      });
      if (rest.firstRunState === "pending") db.presets.set(automationId, WAITING);
      const { outcome: status, sandboxId } = rest;
      const sandboxCleanupDueAtMs = at(deletionInMs);
      db.change(runId, { status, errorDetail, sandboxId, sandboxCleanupDueAtMs });
      return runId;
    },
    async stamped({ overdueMs, ...run }) {
      const sandboxCleanupDueAtMs = db.nowMs() - overdueMs;
      return db.add({ status: "COMPLETED", ...run, sandboxCleanupDueAtMs }).id;
    },
    async stampInS(runId) {
      const atMs = db.runs.get(runId)?.sandboxCleanupDueAtMs ?? null;
      return atMs === null ? null : tens((atMs - db.nowMs()) / 1000);
    },
    bases: async (runId) =>
      db.verdicts.filter((row) => row.runId === runId).map(({ basis }) => basis),
    async changeRun(runId, { stampInMs, restarted, completed, ...changes }) {
      const sandboxCleanupDueAtMs = stampInMs == null ? null : db.nowMs() + stampInMs;
      db.change(runId, {
        ...changes,
        ...(stampInMs === undefined ? {} : { sandboxCleanupDueAtMs }),
        ...(restarted === undefined ? {} : { beganAtMs: db.nowMs() }),
        ...(completed === undefined ? {} : { completedAtMs: db.nowMs() }),
      });
    },
    removeRun: async (runId) => void db.runs.delete(runId),
    async keepSandboxes(runId) {
      const kept = db.runs.get(runId);
      if (kept !== undefined) kept.keepAlive = true;
    },
    async entry(runId) {
      const row = db.verdicts.find((verdict) => verdict.runId === runId);
      if (row === undefined) return null;
      const { cleanupNextAtMs, sandboxId } = row;
      return {
        state: row.cleanupState,
        attempts: row.cleanupAttempts,
        error: row.cleanupError,
        sandboxId,
        dueInS: cleanupNextAtMs === null ? null : tens((cleanupNextAtMs - db.nowMs()) / 1000),
      };
    },
    async overturned(runId) {
      const row = db.verdicts.find((verdict) => verdict.runId === runId);
      return (row?.overturnedAtMs ?? null) !== null;
    },
    async preset(runId) {
      const { automationId = "" } = db.verdicts.find((verdict) => verdict.runId === runId) ?? {};
      return db.presets.get(automationId) ?? null;
    },
    async firstRunState(runId) {
      return db.verdicts.find((verdict) => verdict.runId === runId)?.firstRunState ?? null;
    },
    async whileLocked(runId, work) {
      db.locked.add(runId);
      await work();
      db.locked.delete(runId);
    },
    pass: (ms) => clock.advance(ms),
    takeOver: async () => ({ shard: 0, epoch: db.takeEpoch(), check: noCheck }),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

export function tens(seconds: number): number {
  return Math.ceil(seconds / 10) * 10 + 0;
}

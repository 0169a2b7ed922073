import { isInForce, type Pause } from "../../../src/rules/fleet/pause.ts";
import { MOST_SHARDS } from "../../../src/rules/fleet/shard.ts";
import type {
  Fleet,
  PauseRequest,
  SeenWorker,
  WorkerIntroduction,
} from "../../../src/watchdog/fleet-ports.ts";
import type { Fence } from "../../../src/watchdog/ports.ts";
import type { MemoryDatabase } from "./memory-database.ts";

/** The model of what all workers are told, and of the list of workers. */
export class MemoryFleet implements Fleet {
  readonly #db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async pause({ forMs, reason, by }: PauseRequest): Promise<Pause> {
    const untilMs = this.#db.nowMs() + forMs;
    for (let shard = 0; shard < MOST_SHARDS; shard += 1) this.#db.takeEpoch(shard);
    Object.assign(this.#db.leadership, {
      pausedUntilMs: untilMs,
      pauseReason: reason,
      pausedBy: by,
    });
    this.#db.pauses.push({ untilMs, reason, by });
    const pause = pauseOf(this.#db);
    if (pause === null) throw new Error("it was paused just now");
    return pause;
  }

  async resume(by: string): Promise<Pause | null> {
    const pause = pauseOf(this.#db);
    if (!isInForce(pause)) return null;
    this.#db.leadership.pausedUntilMs = this.#db.nowMs();
    this.#db.pauses.push({ untilMs: null, reason: null, by });
    return pause;
  }

  async seen({ upMs, ...worker }: WorkerIntroduction): Promise<void> {
    const nowMs = this.#db.nowMs();
    const known = this.#db.workers.get(worker.holder);
    const startedAtMs = known?.startedAtMs ?? nowMs - upMs;
    this.#db.workers.set(worker.holder, { ...worker, startedAtMs, seenAtMs: nowMs });
  }

  async left(holder: string): Promise<void> {
    this.#db.workers.delete(holder);
  }

  async workers(): Promise<readonly SeenWorker[]> {
    const nowMs = this.#db.nowMs();
    return [...this.#db.workers.values()]
      .toSorted((a, b) => b.seenAtMs - a.seenAtMs || (a.holder < b.holder ? -1 : 1))
      .map(({ startedAtMs, seenAtMs, ...worker }) => ({
        ...worker,
        upMs: nowMs - startedAtMs,
        seenAgoMs: nowMs - seenAtMs,
      }));
  }

  async forgetWorkers(notSeenForMs: number, fence: Fence): Promise<number> {
    fence.check();
    if (!this.#db.holds(fence)) return 0;
    const gone = [...this.#db.workers.values()].filter(
      ({ seenAtMs }) => this.#db.nowMs() - seenAtMs > notSeenForMs,
    );
    for (const { holder } of gone) this.#db.workers.delete(holder);
    return gone.length;
  }
}

export function pauseOf(db: MemoryDatabase): Pause | null {
  const { pausedUntilMs, pauseReason, pausedBy } = db.leadership;
  if (pausedUntilMs === null) return null;
  return {
    until: new Date(pausedUntilMs).toISOString().replace(/\.\d+/, ""),
    reason: pauseReason ?? "no reason was given",
    by: pausedBy ?? "somebody",
    leftMs: pausedUntilMs - db.nowMs(),
  };
}

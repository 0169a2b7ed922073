import { isInForce } from "../../../src/rules/fleet/pause.ts";
import { holderOf } from "../../../src/rules/lease-key.ts";
import type { ApiThrottle, Fence } from "../../../src/watchdog/ports.ts";
import type {
  EpochAnswer,
  EpochRequest,
  Horizon,
  Leadership,
  LeadershipView,
} from "../../../src/watchdog/store-ports.ts";
import type { MemoryDatabase } from "./memory-database.ts";
import { pauseOf } from "./memory-fleet.ts";

export const INSTALLATION = "7d0c1d8e";

/** The model of the leadership row, for a lease that is kept elsewhere. */
export class MemoryLeadership implements Leadership {
  readonly #db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async read(): Promise<LeadershipView> {
    const row = this.#db.leadership;
    return {
      installation: INSTALLATION,
      epoch: row.epoch,
      holder: row.holder === null ? null : holderOf(row.holder),
      leaseKind: row.leaseKind,
      sweepStartedAt: textOf(row.sweepStartedAtMs),
      sweepFinishedAt: textOf(row.sweepFinishedAtMs),
      sinceProgressMs: this.#since(row.progressedAtMs),
      sinceFinishMs: this.#since(row.sweepFinishedAtMs),
      lastStatus: statusOf(row.lastReport),
      lastPause: pauseOf(this.#db),
      readAt: this.#db.nowText(),
    };
  }

  async begin(request: EpochRequest, check: () => void): Promise<EpochAnswer> {
    check();
    const row = this.#db.leadership;
    const pause = pauseOf(this.#db);
    if (isInForce(pause)) return { kind: "paused", pause };
    const { leaseKind, full, trigger, intervalMs, otherKindAfterMs } = request;
    const sinceProgressMs = this.#since(row.progressedAtMs);
    if (row.leaseKind !== null && row.leaseKind !== leaseKind && sinceProgressMs !== null) {
      if (sinceProgressMs < otherKindAfterMs) {
        return { kind: "other-lease-kind", noted: row.leaseKind };
      }
    }
    const finished = row.sweepFinishedAtMs !== null;
    const sinceStartMs = this.#since(row.sweepStartedAtMs);
    if (full && trigger === "cron" && finished && sinceStartMs !== null) {
      if (sinceStartMs < intervalMs / 2) return { kind: "already-swept" };
    }
    row.epoch += 1;
    row.holder = request.leaseValue;
    row.leaseKind = leaseKind;
    if (full) {
      row.sweepStartedAtMs = this.#db.nowMs();
      row.sweepFinishedAtMs = null;
      row.progressedAtMs = this.#db.nowMs();
    }
    const throttle = {
      pausedForMs: Math.max(0, (row.apiPausedUntilMs ?? 0) - this.#db.nowMs()),
      concurrency: row.apiConcurrency,
    };
    return { kind: "begun", epoch: row.epoch, horizon: await this.horizon(), throttle };
  }

  async horizon(): Promise<Horizon> {
    return { text: this.#db.nowText(), ms: this.#db.nowMs() };
  }

  async progress(fence: Fence, throttle: ApiThrottle): Promise<boolean> {
    fence.check();
    if (this.#db.leadership.epoch !== fence.epoch) return false;
    this.#db.leadership.progressedAtMs = this.#db.nowMs();
    this.#setThrottle(throttle);
    return true;
  }

  async finish(fence: Fence, report: object, throttle: ApiThrottle): Promise<boolean> {
    fence.check();
    const row = this.#db.leadership;
    if (row.epoch !== fence.epoch) return false;
    row.sweepFinishedAtMs = this.#db.nowMs();
    row.progressedAtMs = this.#db.nowMs();
    row.lastReport = report;
    this.#setThrottle(throttle);
    return true;
  }

  #setThrottle({ pausedForMs, concurrency }: ApiThrottle): void {
    const row = this.#db.leadership;
    row.apiPausedUntilMs = pausedForMs > 0 ? this.#db.nowMs() + pausedForMs : null;
    row.apiConcurrency = concurrency;
  }

  async clearLeaseKind(epoch: number): Promise<void> {
    if (this.#db.leadership.epoch === epoch) this.#db.leadership.leaseKind = null;
  }

  #since(atMs: number | null): number | null {
    return atMs === null ? null : this.#db.nowMs() - atMs;
  }
}

function textOf(atMs: number | null): string | null {
  return atMs === null ? null : new Date(atMs).toISOString();
}

function statusOf(report: object | null): string | null {
  const status: unknown = report === null ? null : Reflect.get(report, "status");
  return typeof status === "string" ? status : null;
}

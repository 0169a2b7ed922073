import { isInForce } from "../../../src/rules/fleet/pause.ts";
import { noteOf } from "../../../src/rules/fleet/shard.ts";
import { holderOf } from "../../../src/rules/lease-key.ts";
import type { ApiThrottle, Fence } from "../../../src/watchdog/ports.ts";
import type {
  EpochAnswer,
  EpochRequest,
  Horizon,
  Leadership,
  LeadershipView,
  Leaving,
} from "../../../src/watchdog/store-ports.ts";
import type { MemoryDatabase, MemoryLead } from "./memory-database.ts";
import { pauseOf } from "./memory-fleet.ts";

export const INSTALLATION = "7d0c1d8e";

/** The model of the leadership row and those of the shards, for a lease that is kept elsewhere. */
export class MemoryLeadership implements Leadership {
  readonly #db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async read(shard = 0): Promise<LeadershipView> {
    const row = this.#db.lead(shard);
    const { leaseKind, shardCount } = this.#db.leadership;
    return {
      installation: INSTALLATION,
      epoch: row.epoch,
      holder: row.holder === null ? null : holderOf(row.holder),
      leaseKind,
      shards: shardCount,
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
    const { shard, full, trigger, intervalMs, leaseKind, shards } = request;
    const row = this.#db.lead(shard);
    const fleet = this.#db.leadership;
    const pause = pauseOf(this.#db);
    if (isInForce(pause)) return { kind: "paused", pause };
    const noted = fleet.leaseKind && { leaseKind: fleet.leaseKind, shards: fleet.shardCount };
    const isNoted = noted !== null && noteOf(noted) === noteOf(request);
    if (!isNoted && (shard > 0 || (noted !== null && this.#isSwept(request)))) {
      return { kind: "other-lease-kind", noted };
    }
    const finished = row.sweepFinishedAtMs !== null;
    const sinceStartMs = this.#since(row.sweepStartedAtMs);
    if (full && trigger === "cron" && finished && sinceStartMs !== null) {
      if (sinceStartMs < intervalMs / 2) return { kind: "already-swept" };
    }
    row.epoch += 1;
    row.holder = request.leaseValue;
    if (full) {
      row.sweepStartedAtMs = this.#db.nowMs();
      row.sweepFinishedAtMs = null;
      row.progressedAtMs = this.#db.nowMs();
    }
    if (shard === 0) Object.assign(fleet, { leaseKind, shardCount: shards });
    if (shard === 0 && (request.fencesAll || !isNoted)) this.#fenceOthers(full);
    const throttle = {
      pausedForMs: Math.max(0, (row.apiPausedUntilMs ?? 0) - this.#db.nowMs()),
      concurrency: row.apiConcurrency,
    };
    return { kind: "begun", epoch: row.epoch, horizon: await this.horizon(), throttle };
  }

  #isSwept({ otherKindAfterMs }: EpochRequest): boolean {
    const leads = [this.#db.leadership, ...this.#db.shards];
    return leads.some(
      ({ progressedAtMs }) => (this.#since(progressedAtMs) ?? Infinity) < otherKindAfterMs,
    );
  }

  #fenceOthers(full: boolean): void {
    for (const row of this.#db.shards) {
      row.epoch += 1;
      if (full) row.lastReport = null;
    }
  }

  async horizon(): Promise<Horizon> {
    return { text: this.#db.nowText(), ms: this.#db.nowMs() };
  }

  async progress(fence: Fence, throttle: ApiThrottle): Promise<boolean> {
    fence.check();
    if (!this.#db.holds(fence)) return false;
    const row = this.#db.lead(fence.shard);
    row.progressedAtMs = this.#db.nowMs();
    this.#setThrottle(row, throttle);
    return true;
  }

  async finish(fence: Fence, report: object, throttle: ApiThrottle): Promise<boolean> {
    fence.check();
    if (!this.#db.holds(fence)) return false;
    const row = this.#db.lead(fence.shard);
    row.sweepFinishedAtMs = this.#db.nowMs();
    row.progressedAtMs = this.#db.nowMs();
    row.lastReport = report;
    this.#setThrottle(row, throttle);
    return true;
  }

  #setThrottle(row: MemoryLead, { pausedForMs, concurrency }: ApiThrottle): void {
    row.apiPausedUntilMs = pausedForMs > 0 ? this.#db.nowMs() + pausedForMs : null;
    row.apiConcurrency = concurrency;
  }

  async clearLeaseKind({ epoch, holder, shards, othersWithinMs }: Leaving): Promise<void> {
    const { leadership } = this.#db;
    const cleared = { leaseKind: null, shardCount: 1 };
    if (shards === 1) {
      if (leadership.epoch === epoch) Object.assign(leadership, cleared);
      return;
    }
    const isOurs = (row: MemoryLead) => row.holder !== null && holderOf(row.holder) === holder;
    for (const row of this.#db.shards) if (isOurs(row)) row.holder = null;
    if (leadership.holder !== null && !isOurs(leadership)) return;
    leadership.holder = null;
    const isLast = this.#db.shards.every(
      (row) =>
        row.holder === null || (this.#since(row.progressedAtMs) ?? Infinity) >= othersWithinMs,
    );
    if (isLast) Object.assign(leadership, cleared);
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

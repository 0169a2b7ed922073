import type { ClockPeer, ClockReading } from "../../rules/clock-skew.ts";
import { END_PAUSE, isInForce } from "../../rules/fleet/pause.ts";
import {
  type LeaseNote,
  ONE_DIVISION,
  ONE_LEASE_KIND,
  type Shard,
} from "../../rules/fleet/shard.ts";
import { LinkedController } from "../concurrency/linked-signal.ts";
import { LeaseLostError } from "../errors.ts";
import { dryRunSweep } from "../lead/dry-run.ts";
import { leadSweep } from "../lead/lead-sweep.ts";
import type { HeldElsewhere, LeadDeps, LeadOptions, LeadResult } from "../lead/model.ts";
import type { Log, Schedule } from "../ports.ts";
import { ALL_RUNS, type SweepHooks, withHooks } from "../sweep/model.ts";
import type { WorkerStatus } from "./status/worker-status.ts";
import { SweepLog } from "./sweep-log.ts";
import { TroubleLog } from "./trouble-log.ts";

export interface ContestDeps extends Omit<LeadDeps, "watch"> {
  readonly schedule: Schedule;
  readonly hooks: SweepHooks;
  readonly status: WorkerStatus;
  readonly onClock: (peer: ClockPeer, reading: ClockReading) => void;
  /** What keeps the stores from serving is the same for all shards. */
  readonly troubleLog: TroubleLog;
  /** A sweep has ended. */
  readonly onSwept: () => void;
}

export interface ContestOptions extends LeadOptions {
  readonly observes: boolean;
}

/** What a worker does to sweep one shard, or all runs where they are not divided: single attempts, never two at once. */
export class Contest {
  readonly #deps: ContestDeps;
  readonly #options: ContestOptions;
  readonly #shard: Shard | null;
  readonly #oddities: TroubleLog;
  readonly #sweepLog: SweepLog;
  #isBusy = false;
  /** Monotonic; `null` while it does not sweep. */
  #sweepingSinceMs: number | null = null;
  #scope: LinkedController | null = null;
  /** Of the attempt under way, or the last one. */
  #ended = Promise.resolve();
  #lastEpoch: number | null = null;
  /** Monotonic: when the lease runs out that the last attempt found held; `null` when it found none. */
  #heldUntilMs: number | null = null;
  /** How often in a row a lease was refused that is free. */
  #freeRefusals = 0;
  #isPaused = false;

  constructor(deps: ContestDeps, options: ContestOptions, shard: Shard | null) {
    const log = shard === null ? deps.log : ofShard(deps.log, shard.index);
    this.#deps = { ...deps, log };
    this.#options = options;
    this.#shard = shard;
    this.#oddities = new TroubleLog(log);
    this.#sweepLog = new SweepLog(log, deps.clock);
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  get isSweeping(): boolean {
    return this.#sweepingSinceMs !== null;
  }

  /** For how long its sweep has been under way; 0 when there is none. */
  get sweepingForMs(): number {
    const sinceMs = this.#sweepingSinceMs;
    return sinceMs === null ? 0 : this.#deps.clock.monotonicMs() - sinceMs;
  }

  /** When the lease runs out that the last attempt found held, from now on; not above 0 when it has by now. */
  get freeInMs(): number | null {
    const untilMs = this.#heldUntilMs;
    return untilMs === null ? null : untilMs - this.#deps.clock.monotonicMs();
  }

  /** Of the last sweep of this worker. */
  get lastEpoch(): number | null {
    return this.#lastEpoch;
  }

  /**
   * One attempt; `null` when it failed, or another one is under way. The only place where the stores' failures arrive.
   *
   * @param onBegun told when the lease and an epoch are ours.
   */
  async attempt(signal: AbortSignal, onBegun: () => void = () => {}): Promise<LeadResult | null> {
    if (this.#isBusy) return null;
    this.#isBusy = true;
    this.#heldUntilMs = null;
    const { status, troubleLog } = this.#deps;
    using scope = new LinkedController(signal);
    this.#scope = scope;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended = promise;
    try {
      const result = await this.#lead(scope.signal, onBegun);
      status.attempted();
      if (bothStoresServed(result)) {
        status.storesAnswered();
        troubleLog.served();
      }
      this.#note(result);
      if (result.kind !== "swept" && this.isFirst) await this.#lookAtWaiting();
      return result;
    } catch (error) {
      if (signal.aborted) return null;
      status.idle(this.#index);
      if (scope.signal.aborted) return null;
      status.attempted(error);
      troubleLog.cannotSweep(error);
      return null;
    } finally {
      this.#scope = null;
      this.#sweepingSinceMs = null;
      this.#isBusy = false;
      resolve();
    }
  }

  /** Ends the sweep under way as a stop does: another worker goes on with what is left. Resolves when it has ended. */
  async handOver(): Promise<void> {
    this.#deps.log.info({}, "handing over to another worker, writes in flight end first");
    this.#sweepingSinceMs = null;
    this.#scope?.abort(new LeaseLostError("another worker goes on"));
    await this.#ended;
  }

  async #lead(signal: AbortSignal, onBegun: () => void): Promise<LeadResult> {
    const { status, hooks, schedule, onClock } = this.#deps;
    const watch = withHooks(status.watchOf(this.#index), hooks);
    const onTerm = (trustedUntilMs: () => number) => {
      watch.onTerm?.(trustedUntilMs);
      this.#sweepingSinceMs = this.#deps.clock.monotonicMs();
      onBegun();
    };
    const deps = { ...this.#deps, watch: { ...watch, onTerm, onClock } };
    const request = { trigger: "cron", intervalMs: schedule.intervalMs(), ...ALL_RUNS } as const;
    if (this.#options.observes) {
      const judged = await dryRunSweep(deps, this.#options, request, signal, "info");
      return { kind: "swept", ...judged };
    }
    const shard = this.#shard;
    return leadSweep(deps, this.#options, shard ? { ...request, shard } : request, signal);
  }

  get #index(): number {
    return this.#shard?.index ?? 0;
  }

  /** Of the shard that the leadership row is about. */
  get isFirst(): boolean {
    return this.#index === 0;
  }

  #note(result: LeadResult): void {
    this.#noteResult(result);
    if (this.isFirst) this.#notePause();
  }

  #noteResult(result: LeadResult): void {
    const { status, onSwept, log, clock } = this.#deps;
    const isFree = result.kind === "lease-held" && result.expiresInMs === 0;
    this.#freeRefusals = isFree ? this.#freeRefusals + 1 : 0;
    switch (result.kind) {
      case "swept":
        this.#lastEpoch = result.report.epoch;
        status.swept(result.report, this.#index);
        onSwept();
        if (result.report.exitCode === 1) status.failed(result.error);
        this.#oddities.nothingOdd();
        this.#sweepLog.swept(result.report);
        return;
      case "lease-held":
        if (result.expiresInMs !== null) {
          this.#heldUntilMs = clock.monotonicMs() + result.expiresInMs;
        }
        status.standby(result, this.#index);
        this.#logStandby(result);
        return;
      case "other-lease-kind": {
        const { noted } = result;
        status.standbyOtherKind(noted, this.#index);
        if (noted !== null && this.isFirst) this.#logOtherNote(noted);
        return;
      }
      case "paused":
        status.idle(this.#index);
        return;
      case "already-swept":
        status.idle(this.#index);
        this.#oddities.nothingOdd();
        log.debug({}, "this tick was swept already");
        return;
    }
  }

  /** Said when it begins, changes and ends. A sweep on its way may have been the one to find out. */
  #notePause(): void {
    const { lastPause } = this.#deps.status.facts();
    if (isInForce(lastPause)) {
      const { until, by, reason } = lastPause;
      const fields = { until, by, reason, remedy: END_PAUSE };
      this.#oddities.odd("warn", fields, "paused, nothing is swept");
    } else if (this.#isPaused) {
      this.#deps.log.info({}, "the pause is over");
    }
    this.#isPaused = isInForce(lastPause);
  }

  #logOtherNote({ leaseKind, shards }: LeaseNote): void {
    const isOtherKind = leaseKind !== this.#deps.lease.kind;
    const noted = isOtherKind ? leaseKind : shards;
    const differs = isOtherKind ? "use another kind of lease" : "divide the runs differently";
    const remedy = isOtherKind ? ONE_LEASE_KIND : ONE_DIVISION;
    this.#oddities.odd("warn", { noted, remedy }, `standing by, other workers ${differs}`);
  }

  #logStandby({ holder, expiresInMs, heldForMs }: HeldElsewhere): void {
    const { status, log } = this.#deps;
    if (expiresInMs === null) {
      const { endlessLeaseKey: key } = status.facts();
      this.#oddities.odd("error", { holder, key }, "the lease has no expiry, delete its key");
    } else if (this.#freeRefusals > 1) {
      // A single refusal is normal: the lease may have run out between two calls.
      this.#oddities.odd("warn", { holder }, "the lease is refused although it is free");
    } else {
      this.#oddities.nothingOdd();
      log.debug({ holder, expiresInMs, heldForMs }, "standing by");
    }
  }

  /** Whoever sweeps, each replica tells the same of the runs. */
  async #lookAtWaiting(): Promise<void> {
    this.#deps.status.waits(await this.#deps.store.waiting());
  }
}

/** With another kind of lease noted, and in a pause, the lease store was not asked. */
function bothStoresServed(result: LeadResult): boolean {
  if (result.kind === "other-lease-kind" || result.kind === "paused") return false;
  return result.kind !== "swept" || result.report.exitCode !== 1;
}

function ofShard(log: Log, shard: number): Log {
  return {
    debug: (fields, message) => log.debug({ shard, ...fields }, message),
    info: (fields, message) => log.info({ shard, ...fields }, message),
    warn: (fields, message) => log.warn({ shard, ...fields }, message),
    error: (fields, message) => log.error({ shard, ...fields }, message),
  };
}

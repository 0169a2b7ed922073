import type { LeaseNote } from "../../../rules/fleet/shard.ts";
import { type DependencyStatus, MISSED_TICKS } from "../../../rules/health.ts";
import type { SweepReport, Waiting } from "../../../rules/report.ts";
import {
  LeaseLostError,
  LeaseUnavailableError,
  StoreSchemaError,
  StoreUnavailableError,
  saidBy,
} from "../../errors.ts";
import type { SeenWorker } from "../../fleet-ports.ts";
import type { HeldElsewhere } from "../../lead/model.ts";
import type { Clock, LeaseKind, Schedule } from "../../ports.ts";
import type { LeadershipView } from "../../store-ports.ts";
import type { SweepWatch } from "../../sweep/model.ts";
import { AllLeads } from "./all-leads.ts";
import { ClockReadings } from "./clock-readings.ts";
import { SweepMemory } from "./sweep-memory.ts";
import type { WorkerFacts, WorkerIdentity } from "./worker-facts.ts";

/** How long after the last such run another watchdog is reported. */
const SAID_FOR_MS = 3_600_000;

/** Collects facts as the worker meets them; answers from memory. */
export class WorkerStatus {
  readonly #clock: Clock;
  readonly #schedule: Schedule;
  readonly #identity: WorkerIdentity;
  readonly #startedAtMs: number;
  #nextTickAtMs = 0;
  #postgres: DependencyStatus = "unknown";
  #schemaProblem = false;
  #lease: DependencyStatus = "unknown";
  #attemptFailure: string | null = null;
  readonly #leads: AllLeads;
  #backlog: WorkerFacts["backlog"] = null;
  /** When the last observation moved on or ended. */
  #observedAtMs: number | null = null;
  #waiting: Waiting | null = null;
  readonly #clocks: ClockReadings;
  #endedElsewhere: { readonly count: number; readonly atMs: number } | null = null;
  #replicas: { readonly readAtMs: number; readonly workers: readonly SeenWorker[] } | null = null;
  readonly #memory = new SweepMemory();

  constructor(clock: Clock, schedule: Schedule, identity: WorkerIdentity) {
    this.#clock = clock;
    this.#clocks = new ClockReadings(clock);
    this.#schedule = schedule;
    this.#identity = identity;
    this.#startedAtMs = clock.monotonicMs();
    this.#leads = new AllLeads(clock, identity);
    this.ticked();
  }

  facts(): WorkerFacts {
    const { shards: _, ...identity } = this.#identity;
    return {
      ...identity,
      ...this.#leads.facts,
      ...this.#observed,
      at: this.#clock.now(),
      nowMs: this.#clock.monotonicMs(),
      startedAtMs: this.#startedAtMs,
      postgres: this.#postgres,
      lease: this.#lease,
      patienceMs: this.#schedule.sinceTickMs(MISSED_TICKS),
      nextTickAtMs: this.#nextTickAtMs,
      apiRefusal: this.#identity.api?.blockedReason ?? null,
      waiting: this.#waiting,
      clockSkewsMs: this.#clocks.skewsMs,
      attemptFailure: this.#attemptFailure,
      endedElsewhere: this.#endedElsewhereLately,
      schemaProblem: this.#postgres !== "ok" && this.#schemaProblem,
      nextSweepAt: this.#schedule.nextAt(),
      backlog: this.#backlog,
      replicas: this.#replicasNow,
      recentSweeps: this.#memory.sweeps,
      recentVerdicts: this.#memory.verdicts,
      lastHold: this.#memory.hold,
    };
  }

  /** Nobody's sweeps but its own matter to one that observes: there may be no others yet. */
  get #observed(): Pick<WorkerFacts, "fleet"> | null {
    if (!this.#identity.observes) return null;
    const seenAtMs = this.#observedAtMs;
    return { fleet: seenAtMs === null ? null : { seenAtMs, sinceFinishMs: 0, sinceProgressMs: 0 } };
  }

  /** How many workers divide the same shards, this one included, as far as they were seen in so long. */
  colleagues(withinMs: number): number {
    const { holder, leaseKind, shards = 1 } = this.#identity;
    const others = (this.#replicasNow ?? []).filter(
      (worker) =>
        worker.holder !== holder &&
        worker.leaseKind === leaseKind &&
        worker.shards === shards &&
        worker.seenAgoMs < withinMs,
    );
    return others.length + 1;
  }

  get #replicasNow(): readonly SeenWorker[] | null {
    if (this.#replicas === null) return null;
    const sinceMs = this.#clock.monotonicMs() - this.#replicas.readAtMs;
    return this.#replicas.workers.map(({ upMs, seenAgoMs, ...worker }) => ({
      ...worker,
      upMs: upMs + sinceMs,
      seenAgoMs: seenAgoMs + sinceMs,
    }));
  }

  /** Whether Postgres and the lease store answered at the last try. */
  get ready(): boolean {
    return this.#postgres === "ok" && this.#lease === "ok";
  }

  get #endedElsewhereLately(): number {
    const seen = this.#endedElsewhere;
    const isRecent = seen !== null && this.#clock.monotonicMs() - seen.atMs < SAID_FOR_MS;
    return isRecent ? seen.count : 0;
  }

  ticked(): void {
    const inMs = this.#schedule.nextAt().getTime() - this.#clock.now().getTime();
    this.#nextTickAtMs = this.#clock.monotonicMs() + inMs;
  }

  storesAnswered(): void {
    this.#postgres = "ok";
    this.#lease = "ok";
  }

  /** An attempt to sweep got as far as an answer; `error` when it did not. */
  attempted(error?: unknown): void {
    this.#attemptFailure = error === undefined ? null : saidBy(error);
    if (error !== undefined) this.failed(error);
  }

  /** The lease store is asked after Postgres: its failure says that Postgres is there. */
  failed(error: unknown): void {
    if (error instanceof LeaseLostError) {
      // In the middle of a sweep the two fail each on its own.
      if (error.cause instanceof LeaseUnavailableError) {
        this.#lease = { problem: error.cause.message };
      }
    } else if (error instanceof LeaseUnavailableError) {
      this.#postgres = "ok";
      this.#lease = { problem: error.message };
    } else if (error instanceof StoreUnavailableError || error instanceof StoreSchemaError) {
      this.#postgres = { problem: error.message };
      this.#schemaProblem = error instanceof StoreSchemaError;
    }
  }

  /** As the database shows them to every replica. */
  waits(waiting: Waiting): void {
    this.#waiting = waiting;
    if (waiting.held === 0) this.#leads.holdNothing();
  }

  standby(held: Omit<HeldElsewhere, "kind">, shard = 0): void {
    this.#leads.of(shard).standBy(held);
  }

  standbyOtherKind(noted: LeaseNote<LeaseKind> | null, shard = 0): void {
    const lead = this.#leads.of(shard);
    lead.become("standby");
    lead.otherNote = noted;
  }

  idle(shard = 0): void {
    const lead = this.#leads.of(shard);
    lead.become("idle");
    lead.progressAtMs = null;
  }

  sawReplicas(workers: readonly SeenWorker[]): void {
    this.#replicas = { readAtMs: this.#clock.monotonicMs(), workers };
  }

  /** What has changed since the row was read. */
  #seeAgain(shard: number, changes: Partial<LeadershipView>): void {
    this.#observedAtMs = this.#clock.monotonicMs();
    const lead = this.#leads.of(shard);
    if (lead.seen === null) return;
    lead.see({ ...lead.seen.view, lastPause: this.#leads.lastPause, ...changes });
  }

  swept(report: SweepReport, shard = 0): void {
    this.idle(shard);
    const lead = this.#leads.of(shard);
    lead.ownLastSweep = report;
    this.#memory.swept(report, lead.heldFor);
    if (report.exitCode !== 1 && report.status !== "paused") {
      this.#seeAgain(shard, { sinceFinishMs: 0, sinceProgressMs: 0 });
    }
  }

  /** Notes what happens inside a sweep of the first shard. */
  get watch(): SweepWatch {
    return this.watchOf(0);
  }

  /** Notes what happens inside a sweep. */
  watchOf(shard: number): SweepWatch {
    const lead = this.#leads.of(shard);
    return {
      onLeadership: (view) => lead.see(view),
      onClock: (peer, reading) => this.#clocks.saw(peer, reading),
      onWaiting: (waiting) => this.waits(waiting),
      onTerm: (trustedUntilMs) => {
        lead.trustedUntilMs = trustedUntilMs;
        lead.termSinceMs = this.#clock.monotonicMs();
      },
      onBegin: ({ backlog }) => {
        lead.become(this.#identity.observes ? "observing" : "sweeping");
        if (backlog !== null) this.#backlog = { ...backlog, countedAt: this.#clock.now() };
        lead.progressAtMs = this.#clock.monotonicMs();
        this.storesAnswered();
      },
      onOutcome: (outcome) => this.#memory.ended(outcome, this.#clock.now()),
      onHold: (reason) => {
        lead.heldFor = reason;
      },
      onEndedElsewhere: (count) => {
        this.#endedElsewhere = {
          count: this.#endedElsewhereLately + count,
          atMs: this.#clock.monotonicMs(),
        };
      },
      onStoreTry: (failure) => {
        // A database that is away gives no reason for a restart: whoever tries it again and again is alive.
        if (lead.progressAtMs !== null) lead.progressAtMs = this.#clock.monotonicMs();
        if (failure === null) this.#postgres = "ok";
        else this.failed(failure);
      },
      onProgress: () => {
        lead.progressAtMs = this.#clock.monotonicMs();
        this.#seeAgain(shard, { sinceProgressMs: 0 });
      },
    };
  }
}

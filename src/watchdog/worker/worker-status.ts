import type { Pause } from "../../rules/fleet/pause.ts";
import { type DependencyStatus, type FleetFacts, MISSED_TICKS } from "../../rules/health.ts";
import { leaseKeyOf } from "../../rules/lease-key.ts";
import type { SweepReport, Waiting } from "../../rules/report.ts";
import {
  LeaseLostError,
  LeaseUnavailableError,
  StoreSchemaError,
  StoreUnavailableError,
  saidBy,
} from "../errors.ts";
import type { SeenWorker } from "../fleet-ports.ts";
import type { HeldElsewhere } from "../lead/model.ts";
import type { Clock, LeaseKind, Schedule } from "../ports.ts";
import type { LeadershipView } from "../store-ports.ts";
import type { SweepWatch } from "../sweep/model.ts";
import { ClockReadings } from "./clock-readings.ts";
import { SweepMemory } from "./sweep-memory.ts";
import type { Role, WorkerFacts, WorkerIdentity } from "./worker-facts.ts";

/** How long after the last such run another watchdog is reported. */
const SAID_FOR_MS = 3_600_000;

interface HeldBy {
  readonly holder: string | null;
  readonly expiresAt: Date | null;
  /** Monotonic. */
  readonly sinceMs: number | null;
}

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
  #role: Role = "idle";
  #progressAtMs: number | null = null;
  #trustedUntilMs: () => number = () => 0;
  #termSinceMs = 0;
  #fleet: { readonly seenAtMs: number; readonly view: LeadershipView } | null = null;
  #otherLeaseKind: LeaseKind | null = null;
  #heldBy: HeldBy | null = null;
  #ownLastSweep: SweepReport | null = null;
  #heldFor: string | null = null;
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
    this.ticked();
  }

  facts(): WorkerFacts {
    const fleet = this.#fleet;
    return {
      ...this.#identity,
      at: this.#clock.now(),
      nowMs: this.#clock.monotonicMs(),
      startedAtMs: this.#startedAtMs,
      postgres: this.#postgres,
      lease: this.#lease,
      patienceMs: this.#schedule.sinceTickMs(MISSED_TICKS),
      nextTickAtMs: this.#nextTickAtMs,
      progressAtMs: this.#progressAtMs,
      fleet: this.#fleetFacts,
      lastPause: this.#lastPause,
      otherLeaseKind: this.#otherLeaseKind,
      endlessLeaseKey: this.#endlessLeaseKey,
      lastSweep: this.#ownSweepIsLast
        ? (this.#ownLastSweep?.status ?? null)
        : (fleet?.view.lastStatus ?? null),
      heldFor: this.#ownSweepIsLast ? this.#heldFor : null,
      apiRefusal: this.#identity.api?.blockedReason ?? null,
      waiting: this.#waiting,
      lastFailure:
        this.#ownLastSweep?.status === "error" ? (this.#ownLastSweep.message ?? null) : null,
      clockSkewsMs: this.#clocks.skewsMs,
      attemptFailure: this.#attemptFailure,
      endedElsewhere: this.#endedElsewhereLately,
      role: this.#role,
      schemaProblem: this.#postgres !== "ok" && this.#schemaProblem,
      leaseHolder:
        this.#role === "sweeping" ? this.#identity.holder : (this.#heldBy?.holder ?? null),
      leaseExpiresAt: this.#leaseExpiresAt,
      leaseHeldForMs: this.#leaseHeldForMs,
      nextSweepAt: this.#schedule.nextAt(),
      ownLastSweep: this.#ownLastSweep,
      leadership: fleet?.view ?? null,
      backlog: this.#backlog,
      replicas: this.#replicasNow,
      recentSweeps: this.#memory.sweeps,
      recentVerdicts: this.#memory.verdicts,
      lastHold: this.#memory.hold,
    };
  }

  /** Nobody's sweeps but its own matter to one that observes: there may be no others yet. */
  get #fleetFacts(): FleetFacts | null {
    if (this.#identity.observes) {
      const seenAtMs = this.#observedAtMs;
      return seenAtMs === null ? null : { seenAtMs, sinceFinishMs: 0, sinceProgressMs: 0 };
    }
    const fleet = this.#fleet;
    return (
      fleet && {
        seenAtMs: fleet.seenAtMs,
        sinceFinishMs: fleet.view.sinceFinishMs,
        sinceProgressMs: fleet.view.sinceProgressMs,
      }
    );
  }

  /** As of now: it runs down by itself. */
  get #lastPause(): Pause | null {
    const pause = this.#fleet?.view.lastPause ?? null;
    if (this.#fleet === null || pause === null) return null;
    return { ...pause, leftMs: pause.leftMs - (this.#clock.monotonicMs() - this.#fleet.seenAtMs) };
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

  /** Our own lease lasts as long as we trust it; of another one we know what the store said. */
  get #leaseExpiresAt(): Date | null {
    if (this.#role !== "sweeping") return this.#heldBy?.expiresAt ?? null;
    const trustedForMs = this.#trustedUntilMs() - this.#clock.monotonicMs();
    return new Date(this.#clock.now().getTime() + trustedForMs);
  }

  get #leaseHeldForMs(): number | null {
    const sinceMs = this.#role === "sweeping" ? this.#termSinceMs : (this.#heldBy?.sinceMs ?? null);
    return sinceMs === null ? null : this.#clock.monotonicMs() - sinceMs;
  }

  /** Only a key in Redis can lose its expiry. */
  get #endlessLeaseKey(): string | null {
    if (this.#heldBy === null || this.#heldBy.expiresAt !== null) return null;
    return leaseKeyOf(this.#fleet?.view.installation ?? "*");
  }

  get #endedElsewhereLately(): number {
    const seen = this.#endedElsewhere;
    const isRecent = seen !== null && this.#clock.monotonicMs() - seen.atMs < SAID_FOR_MS;
    return isRecent ? seen.count : 0;
  }

  get #ownSweepIsLast(): boolean {
    const newest = this.#fleet?.view.epoch ?? 0;
    return (this.#ownLastSweep?.epoch ?? 0) >= newest;
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
    if (waiting.held === 0) this.#heldFor = null;
  }

  standby({ holder, expiresInMs, heldForMs }: Omit<HeldElsewhere, "kind">): void {
    this.#become("standby");
    const expiresAt =
      expiresInMs === null ? null : new Date(this.#clock.now().getTime() + expiresInMs);
    const sinceMs = heldForMs === null ? null : this.#clock.monotonicMs() - heldForMs;
    this.#heldBy = { holder, expiresAt, sinceMs };
  }

  standbyOtherKind(noted: LeaseKind): void {
    this.#become("standby");
    this.#otherLeaseKind = noted;
  }

  idle(): void {
    this.#become("idle");
    this.#progressAtMs = null;
  }

  #become(role: Role): void {
    this.#role = role;
    this.#otherLeaseKind = null;
    this.#heldBy = null;
  }

  #see(view: LeadershipView): void {
    this.#fleet = { seenAtMs: this.#clock.monotonicMs(), view };
  }

  sawReplicas(workers: readonly SeenWorker[]): void {
    this.#replicas = { readAtMs: this.#clock.monotonicMs(), workers };
  }

  /** What has changed since the row was read. */
  #seeAgain(changes: Partial<LeadershipView>): void {
    this.#observedAtMs = this.#clock.monotonicMs();
    if (this.#fleet === null) return;
    this.#see({ ...this.#fleet.view, lastPause: this.#lastPause, ...changes });
  }

  swept(report: SweepReport): void {
    this.idle();
    this.#ownLastSweep = report;
    this.#memory.swept(report, this.#heldFor);
    if (report.exitCode !== 1 && report.status !== "paused") {
      this.#seeAgain({ sinceFinishMs: 0, sinceProgressMs: 0 });
    }
  }

  /** Notes what happens inside a sweep. */
  readonly watch: SweepWatch = {
    onLeadership: (view) => this.#see(view),
    onClock: (peer, reading) => this.#clocks.saw(peer, reading),
    onWaiting: (waiting) => this.waits(waiting),
    onTerm: (trustedUntilMs) => {
      this.#trustedUntilMs = trustedUntilMs;
      this.#termSinceMs = this.#clock.monotonicMs();
    },
    onBegin: ({ backlog }) => {
      this.#become(this.#identity.observes ? "observing" : "sweeping");
      this.#backlog = { ...backlog, countedAt: this.#clock.now() };
      this.#progressAtMs = this.#clock.monotonicMs();
      this.storesAnswered();
    },
    onOutcome: (outcome) => this.#memory.ended(outcome, this.#clock.now()),
    onHold: (reason) => {
      this.#heldFor = reason;
    },
    onEndedElsewhere: (count) => {
      this.#endedElsewhere = {
        count: this.#endedElsewhereLately + count,
        atMs: this.#clock.monotonicMs(),
      };
    },
    onStoreTry: (failure) => {
      // A database that is away gives no reason for a restart: whoever tries it again and again is alive.
      if (this.#progressAtMs !== null) this.#progressAtMs = this.#clock.monotonicMs();
      if (failure === null) this.#postgres = "ok";
      else this.failed(failure);
    },
    onProgress: () => {
      this.#progressAtMs = this.#clock.monotonicMs();
      this.#seeAgain({ sinceProgressMs: 0 });
    },
  };
}

import type { Pause } from "../../rules/fleet/pause.ts";
import type { LeaseNote } from "../../rules/fleet/shard.ts";
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
import { LeadStatus } from "./lead-status.ts";
import { SweepMemory } from "./sweep-memory.ts";
import type { Role, WorkerFacts, WorkerIdentity } from "./worker-facts.ts";

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
  /** By shard; a single one where the runs are not divided. */
  readonly #leads: readonly LeadStatus[];
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
    const { shards = 1 } = identity;
    this.#leads = Array.from({ length: shards }, (_, shard) => new LeadStatus(clock, shard));
    this.ticked();
  }

  facts(): WorkerFacts {
    const first = this.#lead(0);
    const { shards: _, ...identity } = this.#identity;
    return {
      ...identity,
      at: this.#clock.now(),
      nowMs: this.#clock.monotonicMs(),
      startedAtMs: this.#startedAtMs,
      postgres: this.#postgres,
      lease: this.#lease,
      patienceMs: this.#schedule.sinceTickMs(MISSED_TICKS),
      nextTickAtMs: this.#nextTickAtMs,
      progressAtMs: leastOf(this.#leads.map(({ progressAtMs }) => progressAtMs)),
      fleet: this.#fleetFacts,
      lastPause: this.#lastPause,
      ...this.#otherNote,
      endlessLeaseKey: this.#endlessLeaseKey,
      lastSweep: this.#lastSweep,
      heldFor: first.ownSweepIsLast ? first.heldFor : null,
      apiRefusal: this.#identity.api?.blockedReason ?? null,
      waiting: this.#waiting,
      lastFailure: this.#lastFailure,
      clockSkewsMs: this.#clocks.skewsMs,
      attemptFailure: this.#attemptFailure,
      endedElsewhere: this.#endedElsewhereLately,
      role: this.#role,
      schemaProblem: this.#postgres !== "ok" && this.#schemaProblem,
      leaseHolder:
        this.#role === "sweeping" ? this.#identity.holder : (first.heldBy?.holder ?? null),
      leaseExpiresAt: this.#leaseExpiresAt,
      leaseHeldForMs: this.#leaseHeldForMs,
      nextSweepAt: this.#schedule.nextAt(),
      ownLastSweep: this.#ownLastSweep,
      leadership: first.seen?.view ?? null,
      backlog: this.#backlog,
      replicas: this.#replicasNow,
      recentSweeps: this.#memory.sweeps,
      recentVerdicts: this.#memory.verdicts,
      lastHold: this.#memory.hold,
      ...(this.#leads.length > 1 && { shards: this.#leads.map((lead) => lead.facts) }),
    };
  }

  /** Nobody's sweeps but its own matter to one that observes: there may be no others yet. */
  get #fleetFacts(): FleetFacts | null {
    if (this.#identity.observes) {
      const seenAtMs = this.#observedAtMs;
      return seenAtMs === null ? null : { seenAtMs, sinceFinishMs: 0, sinceProgressMs: 0 };
    }
    const seen = this.#leads.flatMap(({ fleet }) => fleet ?? []);
    return seen.toSorted((a, b) => sweptAtMs(b) - sweptAtMs(a))[0] ?? null;
  }

  /** As of now: it runs down by itself. */
  get #lastPause(): Pause | null {
    const [newest] = this.#leads
      .flatMap(({ seen }) => seen ?? [])
      .toSorted((a, b) => b.seenAtMs - a.seenAtMs);
    const pause = newest?.view.lastPause ?? null;
    if (newest === undefined || pause === null) return null;
    return { ...pause, leftMs: pause.leftMs - (this.#clock.monotonicMs() - newest.seenAtMs) };
  }

  get #role(): Role {
    const roles = this.#leads.map(({ role }) => role);
    return ROLES.find((role) => roles.includes(role)) ?? "idle";
  }

  get #otherNote(): Pick<WorkerFacts, "otherLeaseKind" | "otherShards"> {
    const noted = this.#leads.find(({ otherNote }) => otherNote !== null)?.otherNote ?? null;
    const { leaseKind, shards = 1 } = this.#identity;
    return {
      otherLeaseKind: noted !== null && noted.leaseKind !== leaseKind ? noted.leaseKind : null,
      ...(noted !== null && noted.shards !== shards && { otherShards: noted.shards }),
    };
  }

  /** The worst of all shards. */
  get #lastSweep(): string | null {
    const found = this.#leads.map(({ lastSweep }) => lastSweep);
    return WORST_FIRST.find((status) => found.includes(status)) ?? found[0] ?? null;
  }

  get #lastFailure(): string | null {
    const failed = this.#leads.find(({ ownLastSweep }) => ownLastSweep?.status === "error");
    return failed?.ownLastSweep?.message ?? null;
  }

  get #ownLastSweep(): SweepReport | null {
    const own = this.#leads.flatMap(({ ownLastSweep }) => ownLastSweep ?? []);
    return own.toSorted((a, b) => (a.finishedAt < b.finishedAt ? 1 : -1))[0] ?? null;
  }

  /**
   * How many workers divide the same shards, this one included, as far as they were seen in so long.
   */
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

  /** Our own lease lasts as long as we trust it; of another one we know what the store said. */
  get #leaseExpiresAt(): Date | null {
    if (this.#role !== "sweeping") return this.#lead(0).heldBy?.expiresAt ?? null;
    const own = this.#leads.filter(({ role }) => role === "sweeping");
    const untilMs = Math.min(...own.map((lead) => lead.trustedUntilMs()));
    const trustedForMs = untilMs - this.#clock.monotonicMs();
    return new Date(this.#clock.now().getTime() + trustedForMs);
  }

  get #leaseHeldForMs(): number | null {
    const own = this.#leads.filter(({ role }) => role === "sweeping");
    const sinceMs =
      own.length > 0
        ? Math.min(...own.map(({ termSinceMs }) => termSinceMs))
        : (this.#lead(0).heldBy?.sinceMs ?? null);
    return sinceMs === null ? null : this.#clock.monotonicMs() - sinceMs;
  }

  /** Only a key in Redis can lose its expiry. */
  get #endlessLeaseKey(): string | null {
    const endless = this.#leads.find(({ heldBy }) => heldBy !== null && heldBy.expiresAt === null);
    if (endless === undefined) return null;
    return leaseKeyOf(this.#lead(0).seen?.view.installation ?? "*", endless.shard);
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
    if (waiting.held === 0) for (const lead of this.#leads) lead.heldFor = null;
  }

  standby({ holder, expiresInMs, heldForMs }: Omit<HeldElsewhere, "kind">, shard = 0): void {
    const expiresAt =
      expiresInMs === null ? null : new Date(this.#clock.now().getTime() + expiresInMs);
    const sinceMs = heldForMs === null ? null : this.#clock.monotonicMs() - heldForMs;
    const lead = this.#lead(shard);
    lead.become("standby");
    lead.heldBy = { holder, expiresAt, sinceMs };
  }

  standbyOtherKind(noted: LeaseNote<LeaseKind> | null, shard = 0): void {
    const lead = this.#lead(shard);
    lead.become("standby");
    lead.otherNote = noted;
  }

  idle(shard = 0): void {
    const lead = this.#lead(shard);
    lead.become("idle");
    lead.progressAtMs = null;
  }

  #lead(shard: number): LeadStatus {
    const lead = this.#leads[shard];
    if (lead === undefined) throw new Error(`there is no shard ${shard}`);
    return lead;
  }

  sawReplicas(workers: readonly SeenWorker[]): void {
    this.#replicas = { readAtMs: this.#clock.monotonicMs(), workers };
  }

  /** What has changed since the row was read. */
  #seeAgain(shard: number, changes: Partial<LeadershipView>): void {
    this.#observedAtMs = this.#clock.monotonicMs();
    const lead = this.#lead(shard);
    if (lead.seen === null) return;
    lead.see({ ...lead.seen.view, lastPause: this.#lastPause, ...changes });
  }

  swept(report: SweepReport, shard = 0): void {
    this.idle(shard);
    const lead = this.#lead(shard);
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
    const lead = this.#lead(shard);
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

/** What a worker is while its shards differ: the first of these that one of them says. */
const ROLES: readonly Role[] = ["sweeping", "observing", "standby"];
const WORST_FIRST: readonly (string | null)[] = ["error", "held", "partial"];

function leastOf(values: readonly (number | null)[]): number | null {
  const found = values.filter((value) => value !== null);
  return found.length === 0 ? null : Math.min(...found);
}

/** Monotonic; when the shard was last swept. */
function sweptAtMs({ seenAtMs, sinceFinishMs, sinceProgressMs }: FleetFacts): number {
  return seenAtMs - (leastOf([sinceFinishMs, sinceProgressMs]) ?? Number.POSITIVE_INFINITY);
}

import { type ClockPeer, type ClockReading, skewMs } from "../../rules/clock-skew.ts";
import { END_PAUSE, isInForce } from "../../rules/fleet/pause.ts";
import { ONE_LEASE_KIND } from "../../rules/health.ts";
import { leaseContendInMs } from "../../rules/timing.ts";
import { ClockLog } from "../clock-log.ts";
import { withDeadline } from "../concurrency/deadline.ts";
import type { FigureReads } from "../figure-ports.ts";
import type { SeenWorker } from "../fleet-ports.ts";
import { readLeadership, readLeaseClock } from "../lead/clocks.ts";
import { dryRunSweep } from "../lead/dry-run.ts";
import { leadSweep } from "../lead/lead-sweep.ts";
import type { HeldElsewhere, LeadDeps, LeadOptions, LeadResult } from "../lead/model.ts";
import type { Schedule } from "../ports.ts";
import { ALL_RUNS, type SweepHooks, type SweepWatch, withHooks } from "../sweep/model.ts";
import { type FleetSight, FleetWatch } from "./fleet-watch.ts";
import { SweepLog } from "./sweep-log.ts";
import { TroubleLog } from "./trouble-log.ts";
import type { WorkerFacts } from "./worker-facts.ts";
import { WorkerListing } from "./worker-listing.ts";
import { WorkerStatus } from "./worker-status.ts";

export interface WorkerDeps extends Omit<LeadDeps, "watch"> {
  readonly schedule: Schedule;
  /** Told of sweeps besides the worker itself. Must not throw. */
  readonly hooks?: SweepHooks;
  /** Asked with every tick, and after a sweep; left out where nobody wants to know of the fleet. */
  readonly figures?: FigureReads;
  /** Told when nothing is to be done until the next tick, or for a while. Must not throw. */
  readonly onRest?: () => void;
}

export interface WorkerOptions extends LeadOptions {
  readonly verifyTimeoutMs: number;
  /** Judges, logs and counts, and writes nothing: no lease, no epoch, no row of its own. */
  readonly observes: boolean;
  readonly version: string;
  /** Of the configuration. */
  readonly fingerprint: string;
}

/**
 * The daemon: every tick of the schedule becomes an attempt to sweep, and never two at once. Nothing that Postgres, the
 * lease store or the backend does ends it: it stays up, says what is wrong, and tries again.
 */
export class Worker {
  readonly #deps: WorkerDeps;
  readonly #options: WorkerOptions;
  readonly #status: WorkerStatus;
  readonly #troubleLog: TroubleLog;
  readonly #watch: SweepWatch;
  readonly #fleet: FleetWatch | null;
  readonly #sweepLog: SweepLog;
  /** Resolves at the next tick; a new one is made whenever ticks are to be waited for. */
  #tick = Promise.withResolvers<void>();
  #lastEpoch: number | null = null;
  /** How often in a row a lease was refused that is free. */
  #freeRefusals = 0;
  #isPaused = false;
  /** `null`: it observes, and writes not even that. */
  readonly #listing: WorkerListing | null;

  constructor(deps: WorkerDeps, options: WorkerOptions) {
    this.#deps = deps;
    this.#options = options;
    const onWorkers = (workers: readonly SeenWorker[]) => this.#status.sawReplicas(workers);
    this.#listing = options.observes
      ? null
      : new WorkerListing({ ...deps, onWorkers }, options, deps.lease.kind);
    this.#troubleLog = new TroubleLog(deps.log);
    this.#sweepLog = new SweepLog(deps.log, deps.clock);
    this.#status = new WorkerStatus(deps.clock, deps.schedule, {
      holder: options.holder,
      leaseKind: deps.lease.kind,
      verifyTimeoutMs: options.verifyTimeoutMs,
      api: deps.backend.api ?? null,
      observes: options.observes,
    });
    const clocks = new ClockLog(deps.log);
    const onClock = (peer: ClockPeer, reading: ClockReading) => {
      this.#status.watch.onClock?.(peer, reading);
      clocks.saw(peer, skewMs(reading));
    };
    this.#watch = { ...withHooks(this.#status.watch, deps.hooks ?? {}), onClock };
    const { figures } = deps;
    this.#fleet =
      figures === undefined
        ? null
        : new FleetWatch(
            { ...deps, figures, onClock: (reading) => onClock("postgres", reading) },
            options.sweep,
          );
  }

  facts(): WorkerFacts {
    return this.#status.facts();
  }

  /** The fleet, as of the last time that the database told; `null` before that. */
  sight(): FleetSight | null {
    return this.#fleet?.sight ?? null;
  }

  /** Runs until the signal aborts and everything in flight has ended. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const stopTicking = this.#deps.schedule.start(() => {
      this.#status.ticked();
      this.#listing?.seen();
      this.#tick.resolve();
      this.#fleet?.look();
    });
    this.#fleet?.look();
    try {
      while (!signal.aborted) {
        if (!this.#status.ready) await this.#probe();
        this.#deps.onRest?.();
        const ticked = await this.#untilTick(this.#status.ready ? null : PROBE_EVERY_MS, signal);
        if (ticked) await this.#contend(signal);
      }
    } finally {
      stopTicking();
      await this.#fleet?.end();
      await this.#leave();
    }
  }

  /** Contends for the lease until it swept, somebody else did, or the next tick begins a new attempt. */
  async #contend(signal: AbortSignal): Promise<void> {
    this.#tick = Promise.withResolvers();
    for (let refusals = 1; !signal.aborted; refusals += 1) {
      const result = await this.#attempt(signal);
      if (result?.kind !== "lease-held") break;
      const { expiresInMs } = result;
      const waitMs = leaseContendInMs(expiresInMs, this.#deps.random.fraction(), refusals);
      if (await this.#untilTick(waitMs, signal)) return;
      if (waitMs === null) return;
    }
    // Ticks that came during a sweep are dropped, not made up for.
    this.#tick = Promise.withResolvers();
  }

  /** One attempt; `null` when it failed. The only place where the stores' failures arrive. */
  async #attempt(signal: AbortSignal): Promise<LeadResult | null> {
    const { schedule } = this.#deps;
    try {
      const deps = { ...this.#deps, watch: this.#watch };
      const request = { trigger: "cron", intervalMs: schedule.intervalMs(), ...ALL_RUNS } as const;
      const result: LeadResult = this.#options.observes
        ? { kind: "swept", ...(await dryRunSweep(deps, this.#options, request, signal, "info")) }
        : await leadSweep(deps, this.#options, request, signal);
      this.#status.attempted();
      if (bothStoresServed(result)) {
        this.#status.storesAnswered();
        this.#troubleLog.served();
      }
      this.#note(result);
      if (result.kind !== "swept") await this.#lookAtWaiting();
      return result;
    } catch (error) {
      if (signal.aborted) return null;
      this.#status.idle();
      this.#status.attempted(error);
      this.#troubleLog.cannotSweep(error);
      return null;
    }
  }

  #note(result: LeadResult): void {
    this.#noteResult(result);
    this.#notePause();
  }

  #noteResult(result: LeadResult): void {
    const isFree = result.kind === "lease-held" && result.expiresInMs === 0;
    this.#freeRefusals = isFree ? this.#freeRefusals + 1 : 0;
    switch (result.kind) {
      case "swept":
        this.#lastEpoch = result.report.epoch;
        this.#status.swept(result.report);
        this.#fleet?.look();
        if (result.report.exitCode === 1) this.#status.failed(result.error);
        this.#troubleLog.nothingOdd();
        this.#sweepLog.swept(result.report);
        return;
      case "lease-held":
        this.#status.standby(result);
        this.#logStandby(result);
        return;
      case "other-lease-kind": {
        const { noted } = result;
        this.#status.standbyOtherKind(noted);
        const message = "standing by, other workers use another kind of lease";
        this.#troubleLog.odd("warn", { noted, remedy: ONE_LEASE_KIND }, message);
        return;
      }
      case "paused":
        this.#status.idle();
        return;
      case "already-swept":
        this.#status.idle();
        this.#troubleLog.nothingOdd();
        this.#deps.log.debug({}, "this tick was swept already");
        return;
    }
  }

  /** Said when it begins, changes and ends. A sweep on its way may have been the one to find out. */
  #notePause(): void {
    const { lastPause } = this.#status.facts();
    if (isInForce(lastPause)) {
      const { until, by, reason } = lastPause;
      const fields = { until, by, reason, remedy: END_PAUSE };
      this.#troubleLog.odd("warn", fields, "paused, nothing is swept");
    } else if (this.#isPaused) {
      this.#deps.log.info({}, "the pause is over");
    }
    this.#isPaused = isInForce(lastPause);
  }

  #logStandby({ holder, expiresInMs, heldForMs }: HeldElsewhere): void {
    if (expiresInMs === null) {
      const { endlessLeaseKey: key } = this.#status.facts();
      this.#troubleLog.odd("error", { holder, key }, "the lease has no expiry, delete its key");
    } else if (this.#freeRefusals > 1) {
      // A single refusal is normal: the lease may have run out between two calls.
      this.#troubleLog.odd("warn", { holder }, "the lease is refused although it is free");
    } else {
      this.#troubleLog.nothingOdd();
      this.#deps.log.debug({ holder, expiresInMs, heldForMs }, "standing by");
    }
  }

  /** Whoever sweeps, each replica tells the same of the runs. */
  async #lookAtWaiting(): Promise<void> {
    this.#status.waits(await this.#deps.store.waiting());
  }

  /** Asks both stores, so that readiness does not wait for the first tick. */
  async #probe(): Promise<void> {
    const { leadership, lease } = this.#deps;
    try {
      if (this.#options.observes) {
        await leadership.horizon();
      } else {
        await readLeadership({ ...this.#deps, watch: this.#watch });
        await lease.ping();
        await readLeaseClock({ lease, watch: this.#watch });
      }
      await this.#lookAtWaiting();
      this.#status.storesAnswered();
      this.#troubleLog.answered();
    } catch (error) {
      this.#status.failed(error);
      this.#troubleLog.notReady(error);
    }
  }

  /** True when a tick came; false when `waitMs` passed first (`null`: never) or the signal aborted. */
  async #untilTick(waitMs: number | null, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#deps;
    const { promise } = this.#tick;
    try {
      const ticked = await withDeadline(clock, waitMs ?? FOREVER_MS, () => promise, signal);
      return ticked.kind === "done" && !signal.aborted;
    } catch {
      return false;
    }
  }

  /**
   * Lets workers with another kind of lease take over at once, and is not listed any more. Bounded: leaving must not take
   * long.
   */
  async #leave(): Promise<void> {
    const { leadership, clock, log } = this.#deps;
    const epoch = this.#lastEpoch;
    const leaving = Promise.all([
      epoch === null ? null : leadership.clearLeaseKind(epoch),
      this.#listing?.leave(),
    ]);
    try {
      await withDeadline(clock, LEAVE_WITHIN_MS, () => leaving, new AbortController().signal);
    } catch (error) {
      log.debug({ err: error }, "taking leave of the fleet failed");
    }
  }
}

/** With another kind of lease noted, and in a pause, the lease store was not asked. */
function bothStoresServed(result: LeadResult): boolean {
  if (result.kind === "other-lease-kind" || result.kind === "paused") return false;
  return result.kind !== "swept" || result.report.exitCode !== 1;
}

const PROBE_EVERY_MS = 5000;
const LEAVE_WITHIN_MS = 2000;
/** The longest a Node timer can wait; a tick or the signal ends the wait before. */
const FOREVER_MS = 2 ** 31 - 1;

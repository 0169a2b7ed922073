import { type ClockPeer, type ClockReading, skewMs } from "../../rules/clock-skew.ts";
import { rotated } from "../../rules/fleet/shard.ts";
import { ClockLog } from "../clock-log.ts";
import { withDeadline } from "../concurrency/deadline.ts";
import { SharedSlots } from "../concurrency/shared-slots.ts";
import type { FigureReads } from "../figure-ports.ts";
import type { SeenWorker } from "../fleet-ports.ts";
import { readLeadership, readLeaseClock } from "../lead/clocks.ts";
import type { LeadDeps, LeadOptions } from "../lead/model.ts";
import type { Schedule } from "../ports.ts";
import type { SweepHooks, SweepWatch } from "../sweep/model.ts";
import { contend } from "./contend.ts";
import { Contest } from "./contest.ts";
import { type FleetSight, FleetWatch } from "./fleet-watch.ts";
import { Spread } from "./spread.ts";
import type { WorkerFacts } from "./status/worker-facts.ts";
import { WorkerStatus } from "./status/worker-status.ts";
import { Ticks } from "./ticks.ts";
import { TroubleLog } from "./trouble-log.ts";
import { WorkerListing } from "./worker-listing.ts";

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
 * The daemon: every tick of the schedule becomes an attempt to sweep, and never two at once of the same runs. Nothing that Postgres, the
 * lease store or the backend does ends it: it stays up, says what is wrong, and tries again.
 */
export class Worker {
  readonly #deps: WorkerDeps;
  readonly #options: WorkerOptions;
  readonly #status: WorkerStatus;
  readonly #troubleLog: TroubleLog;
  /** Of what is seen between sweeps. */
  readonly #watch: SweepWatch;
  /** One for each shard, in the order in which this worker goes about them. */
  readonly #contests: readonly Contest[];
  /** `null` where the runs are not divided. */
  readonly #spread: Spread | null;
  readonly #fleet: FleetWatch | null;
  readonly #ticks: Ticks;
  /** `null`: it observes, and writes not even that. */
  readonly #listing: WorkerListing | null;

  constructor(deps: WorkerDeps, options: WorkerOptions) {
    this.#deps = deps;
    this.#options = options;
    const onWorkers = (workers: readonly SeenWorker[]) => this.#status.sawReplicas(workers);
    this.#listing = options.observes
      ? null
      : new WorkerListing({ ...deps, onWorkers }, options, deps.lease.kind);
    this.#ticks = new Ticks(deps.clock);
    this.#troubleLog = new TroubleLog(deps.log);
    // Who writes nothing shows what it would do to all runs.
    const count = options.observes ? 1 : options.shards;
    this.#status = new WorkerStatus(deps.clock, deps.schedule, {
      holder: options.holder,
      leaseKind: deps.lease.kind,
      shards: count,
      verifyTimeoutMs: options.verifyTimeoutMs,
      api: deps.backend.api ?? null,
      observes: options.observes,
    });
    const clocks = new ClockLog(deps.log);
    const { watch } = this.#status;
    const onClock = (peer: ClockPeer, reading: ClockReading) => {
      watch.onClock?.(peer, reading);
      clocks.saw(peer, skewMs(reading));
    };
    this.#watch = { ...watch, onClock };
    const shared = {
      ...deps,
      hooks: deps.hooks ?? {},
      status: this.#status,
      onClock,
      troubleLog: this.#troubleLog,
      onSwept: () => this.#fleet?.look(),
    };
    const slots = new SharedSlots(options.sweep.concurrency);
    this.#contests =
      count === 1
        ? [new Contest(shared, options, null)]
        : rotated(count, options.holder).map(
            (index) => new Contest({ ...shared, slots }, options, { index, count }),
          );
    const spread = {
      ...deps,
      ticks: this.#ticks,
      listing: this.#listing,
      status: this.#status,
      leaseTtlMs: options.lease.ttlMs,
    };
    this.#spread = count === 1 ? null : new Spread(spread, this.#contests);
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
      void this.#listing?.seen();
      this.#ticks.came();
      this.#fleet?.look();
    });
    this.#fleet?.look();
    // By the first tick each knows of the others.
    if (this.#spread !== null) void this.#listing?.seen();
    try {
      while (!signal.aborted) {
        if (!this.#status.ready) await this.#probe();
        this.#deps.onRest?.();
        const ticked = await this.#ticks.until(this.#status.ready ? null : PROBE_EVERY_MS, signal);
        if (!ticked) continue;
        await (this.#spread?.atTick(signal) ?? this.#contend(signal));
      }
    } finally {
      stopTicking();
      await this.#spread?.end();
      await this.#fleet?.end();
      await this.#leave();
    }
  }

  async #contend(signal: AbortSignal): Promise<void> {
    const [only] = this.#contests;
    if (only === undefined) return;
    this.#ticks.drop();
    const ended = await contend(only, { ...this.#deps, ticks: this.#ticks }, signal);
    // Ticks that came during a sweep are dropped, not made up for.
    if (ended === "attempted") this.#ticks.drop();
  }

  /** Asks both stores, so that readiness does not wait for the first tick. */
  async #probe(): Promise<void> {
    const { leadership, lease, store } = this.#deps;
    try {
      if (this.#options.observes) {
        await leadership.horizon();
      } else {
        await readLeadership({ ...this.#deps, watch: this.#watch }, 0);
        await lease.ping();
        await readLeaseClock({ lease, watch: this.#watch });
      }
      this.#status.waits(await store.waiting());
      this.#status.storesAnswered();
      this.#troubleLog.answered();
    } catch (error) {
      this.#status.failed(error);
      this.#troubleLog.notReady(error);
    }
  }

  /**
   * Lets workers with another kind of lease take over at once, and is not listed any more. Bounded: leaving must not take
   * long.
   */
  async #leave(): Promise<void> {
    const { leadership, clock, log, schedule } = this.#deps;
    const { holder, lease } = this.#options;
    const othersWithinMs = 2 * lease.ttlMs + schedule.intervalMs();
    const epoch = this.#contests.find(({ isFirst }) => isFirst)?.lastEpoch ?? null;
    const hasLed = this.#contests.some(({ lastEpoch }) => lastEpoch !== null);
    const shards = this.#contests.length;
    const leaving = Promise.all([
      hasLed ? leadership.clearLeaseKind({ epoch, holder, shards, othersWithinMs }) : null,
      this.#listing?.leave(),
    ]);
    try {
      await withDeadline(clock, LEAVE_WITHIN_MS, () => leaving, new AbortController().signal);
    } catch (error) {
      log.debug({ err: error }, "taking leave of the fleet failed");
    }
  }
}

const PROBE_EVERY_MS = 5000;
const LEAVE_WITHIN_MS = 2000;

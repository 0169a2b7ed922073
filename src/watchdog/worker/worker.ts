import { type ClockPeer, type ClockReading, skewMs } from "../../rules/clock-skew.ts";
import { fairShare, rotated } from "../../rules/fleet/shard.ts";
import { leaseContendInMs } from "../../rules/timing.ts";
import { ClockLog } from "../clock-log.ts";
import { withDeadline } from "../concurrency/deadline.ts";
import { SharedSlots } from "../concurrency/shared-slots.ts";
import type { FigureReads } from "../figure-ports.ts";
import type { SeenWorker } from "../fleet-ports.ts";
import { readLeadership, readLeaseClock } from "../lead/clocks.ts";
import type { LeadDeps, LeadOptions, LeadResult } from "../lead/model.ts";
import type { Schedule } from "../ports.ts";
import type { SweepHooks, SweepWatch } from "../sweep/model.ts";
import { Contest } from "./contest.ts";
import { type FleetSight, FleetWatch } from "./fleet-watch.ts";
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
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #fleet: FleetWatch | null;
  /** Resolves at the next tick; a new one is made whenever ticks are to be waited for. */
  #tick = Promise.withResolvers<void>();
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
      this.#tick.resolve();
      this.#fleet?.look();
    });
    this.#fleet?.look();
    // By the first tick each knows of the others.
    if (this.#contests.length > 1) void this.#listing?.seen();
    try {
      while (!signal.aborted) {
        if (!this.#status.ready) await this.#probe();
        this.#deps.onRest?.();
        const ticked = await this.#untilTick(this.#status.ready ? null : PROBE_EVERY_MS, signal);
        const [only, ...more] = this.#contests;
        if (!ticked || only === undefined) continue;
        if (more.length === 0) await this.#contend(only, signal);
        else await this.#spread(signal);
      }
    } finally {
      stopTicking();
      await Promise.all(this.#underWay);
      await this.#fleet?.end();
      await this.#leave();
    }
  }

  /** Contends for the lease until it swept, somebody else did, or the next tick begins a new attempt. */
  async #contend(contest: Contest, signal: AbortSignal): Promise<void> {
    this.#tick = Promise.withResolvers();
    const ended = await this.#contendFrom(contest, signal);
    // Ticks that came during a sweep are dropped, not made up for.
    if (ended === "attempted") this.#tick = Promise.withResolvers();
  }

  /** @param waitMs before the first attempt. */
  async #contendFrom(
    contest: Contest,
    signal: AbortSignal,
    waitMs = 0,
  ): Promise<"attempted" | "waited"> {
    if (waitMs > 0 && (await this.#untilTick(waitMs, signal))) return "waited";
    for (let refusals = 1; !signal.aborted; refusals += 1) {
      const result = await contest.attempt(signal, this.#onLeads);
      this.#onLeads();
      if (result?.kind !== "lease-held") break;
      const { expiresInMs } = result;
      const againMs = leaseContendInMs(expiresInMs, this.#deps.random.fraction(), refusals);
      if (await this.#untilTick(againMs, signal)) return "waited";
      if (againMs === null) return "waited";
    }
    return "attempted";
  }

  /**
   * Begins sweeps of as many shards as are this worker's share, and leaves the rest to the others for a moment. What
   * nobody takes then, and what a worker that dies leaves behind, is swept here as well. Does not wait for the sweeps: a
   * shard whose sweep is under way drops its ticks, and no other's.
   */
  async #spread(signal: AbortSignal): Promise<void> {
    this.#tick = Promise.withResolvers();
    await this.#listed(signal);
    const free = this.#contests.filter(({ isBusy }) => !isBusy);
    const share = fairShare(this.#contests.length, this.#colleagues);
    const othersFirstMs = Math.min(OTHERS_FIRST_MS, this.#deps.schedule.intervalMs() / 4);
    // Whoever came since has nothing to do while sweeps of the others are long.
    const sweeping = this.#contests.filter(({ isSweeping }) => isSweeping);
    for (const contest of sweeping.slice(share)) contest.handOver();
    let led = this.#contests.length - free.length;
    let hasWaited = false;
    for (const contest of free) {
      if (signal.aborted) return;
      let answer = led < share ? await this.#begin(contest, signal) : null;
      if (answer === "other-lease-kind" && !hasWaited) {
        // The leader of the first shard may be about to note how the runs are divided.
        hasWaited = true;
        if (await this.#untilTick(othersFirstMs / 4, signal)) return;
        answer = await this.#begin(contest, signal);
      }
      if (answer === "begun") led += 1;
      else this.#goesOn(this.#contendLater(contest, othersFirstMs, signal));
    }
  }

  #contendLater(contest: Contest, afterMs: number, signal: AbortSignal): Promise<unknown> {
    return this.#contendFrom(contest, signal, afterMs * (1 + this.#deps.random.fraction()));
  }

  /** A sweep that has begun goes on. */
  #begin(contest: Contest, signal: AbortSignal): Promise<"begun" | LeadResult["kind"] | null> {
    const begun = Promise.withResolvers<"begun" | LeadResult["kind"] | null>();
    const onBegun = () => {
      this.#onLeads();
      begun.resolve("begun");
    };
    this.#goesOn(
      contest.attempt(signal, onBegun).then((result) => {
        this.#onLeads();
        begun.resolve(result?.kind ?? null);
      }),
    );
    return begun.promise;
  }

  #goesOn(work: Promise<unknown>): void {
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }

  /** What all workers together may do at once is divided by what each leads. */
  readonly #onLeads = (): void => {
    if (this.#contests.length === 1) return;
    const led = this.#contests.filter(({ isSweeping }) => isSweeping).length;
    this.#deps.backend.share?.(led, this.#contests.length);
  };

  /** Those that were seen at the tick before this one are taken to be there. */
  get #colleagues(): number {
    return this.#status.colleagues(1.5 * this.#deps.schedule.intervalMs() + SEEN_LATE_MS);
  }

  /** No work depends on the list: it only tells how many others there are. */
  async #listed(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const listed = this.#listing?.seen() ?? Promise.resolve();
    await withDeadline(clock, LISTED_WITHIN_MS, () => listed, signal).catch(() => {});
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
/** Clocks differ, and so do the moments at which workers tick. */
const OTHERS_FIRST_MS = 1000;
const SEEN_LATE_MS = 5000;
const LISTED_WITHIN_MS = 1000;
/** The longest a Node timer can wait; a tick or the signal ends the wait before. */
const FOREVER_MS = 2 ** 31 - 1;

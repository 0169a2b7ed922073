import { fairShare } from "../../rules/fleet/shard.ts";
import { leaseContendInMs } from "../../rules/timing.ts";
import { withDeadline } from "../concurrency/deadline.ts";
import type { LeadResult } from "../lead/model.ts";
import type { Backend, Clock, Random, Schedule } from "../ports.ts";
import { contend } from "./contend.ts";
import type { Contest } from "./contest.ts";
import type { WorkerStatus } from "./status/worker-status.ts";
import type { Ticks } from "./ticks.ts";
import type { WorkerListing } from "./worker-listing.ts";

export interface SpreadDeps {
  readonly ticks: Ticks;
  readonly schedule: Schedule;
  readonly clock: Clock;
  readonly random: Random;
  readonly backend: Pick<Backend, "share">;
  readonly listing: WorkerListing | null;
  readonly status: Pick<WorkerStatus, "colleagues">;
  readonly leaseTtlMs: number;
}

/** How the workers of a fleet come to lead as many shards each. */
export class Spread {
  readonly #deps: SpreadDeps;
  /** One for each shard, in the order in which this worker goes about them. */
  readonly #contests: readonly Contest[];
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(deps: SpreadDeps, contests: readonly Contest[]) {
    this.#deps = deps;
    this.#contests = contests;
  }

  /**
   * Begins sweeps of as many shards as are this worker's share, and leaves the rest to the others for a moment. What
   * nobody takes then, and what a worker that dies leaves behind, is swept here as well. Does not wait for the sweeps: a
   * shard whose sweep is under way drops its ticks, and no other's.
   */
  async atTick(signal: AbortSignal): Promise<void> {
    const { ticks, schedule } = this.#deps;
    ticks.drop();
    await this.#listed(signal);
    const free = this.#contests.filter(({ isBusy }) => !isBusy);
    const share = this.#shareOf(1.5 * schedule.intervalMs() + SEEN_LATE_MS);
    const othersFirstMs = Math.min(OTHERS_FIRST_MS, schedule.intervalMs() / 4);
    this.#handOver(signal);
    let led = this.#contests.length - free.length;
    let hasWaited = false;
    for (const contest of free) {
      if (signal.aborted) return;
      let answer = led < share ? await this.#begin(contest, signal) : null;
      if (answer === "other-lease-kind" && !hasWaited) {
        // The leader of the first shard may be about to note how the runs are divided.
        hasWaited = true;
        if (await ticks.until(othersFirstMs / 4, signal)) return;
        answer = await this.#begin(contest, signal);
      }
      if (answer === "begun") led += 1;
      else this.#goesOn(this.#contendLater(contest, othersFirstMs, signal));
    }
  }

  /** Resolves when nothing is under way any more. */
  async end(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /**
   * Whoever came since has nothing to do while sweeps of the others are long. One that was not seen since may be dead:
   * then it was its shard that was taken over.
   */
  #handOver(signal: AbortSignal): void {
    const sweeping = this.#contests.filter(({ isSweeping }) => isSweeping);
    for (const [place, contest] of sweeping.entries()) {
      if (place < this.#shareOf(contest.sweepingForMs)) continue;
      this.#goesOn(contest.handOver().then(() => this.#contendAgain(contest, signal)));
    }
  }

  /** Whoever goes on with what was handed over may die of it, and nobody else need be there. */
  #contendAgain(contest: Contest, signal: AbortSignal): Promise<unknown> {
    const { ticks, random, leaseTtlMs } = this.#deps;
    const deps = { ticks, random, onLeads: this.#onLeads };
    // A lease that was refused while this sweep ended runs out before that: who came for it comes first.
    const afterMs = leaseContendInMs(leaseTtlMs, random.fraction()) ?? leaseTtlMs;
    return contend(contest, deps, signal, afterMs);
  }

  /** A lease that runs out meanwhile, or just did, is not waited for any longer: whoever held it may be dead. */
  #contendLater(contest: Contest, afterMs: number, signal: AbortSignal): Promise<unknown> {
    const { ticks, random } = this.#deps;
    const deps = { ticks, random, onLeads: this.#onLeads };
    const othersFirstMs = afterMs * (1 + random.fraction());
    const expiresInMs = leaseContendInMs(contest.freeInMs, random.fraction());
    return contend(contest, deps, signal, Math.min(othersFirstMs, expiresInMs ?? othersFirstMs));
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
    const led = this.#contests.filter(({ isSweeping }) => isSweeping).length;
    this.#deps.backend.share?.(led, this.#contests.length);
  };

  /** Beside those that were seen in so long. At a tick others may not have been seen since the one before. */
  #shareOf(seenWithinMs: number): number {
    return fairShare(this.#contests.length, this.#deps.status.colleagues(seenWithinMs));
  }

  /** No work depends on the list: it only tells how many others there are. */
  async #listed(signal: AbortSignal): Promise<void> {
    const { clock, listing } = this.#deps;
    const listed = listing?.seen() ?? Promise.resolve();
    await withDeadline(clock, LISTED_WITHIN_MS, () => listed, signal).catch(() => {});
  }
}

/** Clocks differ, and so do the moments at which workers tick. */
const OTHERS_FIRST_MS = 1000;
const SEEN_LATE_MS = 5000;
const LISTED_WITHIN_MS = 1000;

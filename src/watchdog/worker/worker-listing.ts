import type { Fleet, SeenWorker } from "../fleet-ports.ts";
import type { Clock, LeaseKind, Log } from "../ports.ts";

export interface ListingDeps {
  readonly fleet: Pick<Fleet, "seen" | "left" | "workers">;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Log;
  /** Told of all listed workers, each time that this one was. Must not throw. */
  readonly onWorkers: (workers: readonly SeenWorker[]) => void;
}

export interface ListingOptions {
  readonly holder: string;
  readonly version: string;
  readonly fingerprint: string;
  readonly shards: number;
}

/** Keeps this worker in the list of workers, beside the work: that neither waits for it nor fails with it. */
export class WorkerListing {
  readonly #deps: ListingDeps;
  readonly #options: ListingOptions;
  readonly #leaseKind: LeaseKind;
  readonly #startedAtMs: number;
  /** The statement on its way: at most one. */
  #listing: Promise<void> | null = null;
  #isListed = false;

  constructor(deps: ListingDeps, options: ListingOptions, leaseKind: LeaseKind) {
    this.#deps = deps;
    this.#options = options;
    this.#leaseKind = leaseKind;
    this.#startedAtMs = deps.clock.monotonicMs();
  }

  /** Resolves when it was tried, and never rejects. */
  async seen(): Promise<void> {
    this.#listing ??= this.#seen();
    await this.#listing;
  }

  async #seen(): Promise<void> {
    const { fleet, clock, log, onWorkers } = this.#deps;
    const { holder, version, fingerprint, shards } = this.#options;
    const upMs = clock.monotonicMs() - this.#startedAtMs;
    this.#isListed = true;
    try {
      const leaseKind = this.#leaseKind;
      await fleet.seen({ holder, version, fingerprint, leaseKind, shards, upMs });
      onWorkers(await fleet.workers());
    } catch (error) {
      log.debug({ err: error }, "listing this worker failed");
    } finally {
      this.#listing = null;
    }
  }

  /** Takes it from the list, after what is on its way. Rejects as the store does. */
  async leave(): Promise<void> {
    await this.#listing;
    if (this.#isListed) await this.#deps.fleet.left(this.#options.holder);
  }
}

import type { AcquireAnswer, Clock, Lease, LeaseKind } from "../../../src/watchdog/ports.ts";

interface Entry {
  readonly value: string;
  /** In the clock's monotonic time. */
  readonly expiresAtMs: number;
}

/** The model of a lease store: keeps the promises of the port, in memory and by the given clock. */
export class MemoryLease implements Lease {
  readonly kind: LeaseKind = "redis";
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #shards = new Map<number, MemoryLease>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ofShard(index: number): MemoryLease {
    const lease = index === 0 ? this : (this.#shards.get(index) ?? new MemoryLease(this.#clock));
    if (index > 0) this.#shards.set(index, lease);
    return lease;
  }

  async ping(): Promise<void> {}

  async acquire(installation: string, value: string, ttlMs: number): Promise<AcquireAnswer> {
    const entry = this.#entry(installation);
    if (entry !== null) {
      const expiresInMs = entry.expiresAtMs - this.#clock.monotonicMs();
      return { kind: "held", value: entry.value, expiresInMs };
    }
    this.#set(installation, value, ttlMs);
    return { kind: "acquired" };
  }

  async renew(installation: string, value: string, ttlMs: number): Promise<boolean> {
    if (this.#entry(installation)?.value !== value) return false;
    this.#set(installation, value, ttlMs);
    return true;
  }

  async release(installation: string, value: string): Promise<boolean> {
    if (this.#entry(installation)?.value !== value) return false;
    return this.#entries.delete(installation);
  }

  /** Under which value the lease is held right now; for tests. */
  holderOf(installation: string): string | null {
    return this.#entry(installation)?.value ?? null;
  }

  /** Loses a lease, as after FLUSHALL or a failover to a node that never knew it. */
  forget(installation: string): void {
    this.#entries.delete(installation);
  }

  #entry(installation: string): Entry | null {
    const entry = this.#entries.get(installation);
    if (entry === undefined || entry.expiresAtMs <= this.#clock.monotonicMs()) return null;
    return entry;
  }

  #set(installation: string, value: string, ttlMs: number): void {
    this.#entries.set(installation, { value, expiresAtMs: this.#clock.monotonicMs() + ttlMs });
  }
}

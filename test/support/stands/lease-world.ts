import { getEventListeners } from "node:events";
import { vi } from "vitest";
import { acquireTerm } from "../../../src/watchdog/lead/acquire.ts";
import type { LeaseOptions, LeaseTerm } from "../../../src/watchdog/lead/lease-term.ts";
import type { Lease, Log } from "../../../src/watchdog/ports.ts";
import { FakeClock } from "../memory/fake-clock.ts";
import { MemoryLease } from "../memory/memory-lease.ts";

export const INSTALLATION = "7d0c1d8e";

export const TIMING = { ttlMs: 15_000, renewMs: 5_000, marginMs: 2_000 } as const;

export const OPTIONS: LeaseOptions = {
  ...TIMING,
  installation: INSTALLATION,
  holder: "host-1/4711/ab12",
  progressTimeoutMs: 60_000,
};

/** A lease store in memory with a worker that can become its holder, at a time that stands still. */
export function leaseWorld() {
  const clock = new FakeClock();
  const store = new MemoryLease(clock);
  const logged: string[] = [];
  const log = recordTo(logged);
  let tokens = 0;
  const random = { token: () => `token-${++tokens}`, fraction: () => 0.5 };
  const parent = new AbortController();
  const calls = {
    acquire: vi.fn(store.acquire.bind(store)),
    renew: vi.fn(store.renew.bind(store)),
    release: vi.fn(store.release.bind(store)),
  };
  const lease: Lease = {
    kind: store.kind,
    ping: () => store.ping(),
    ofShard: (index) => store.ofShard(index),
    ...calls,
  };
  const deps = { lease, clock, random, log };
  return {
    clock,
    /** What is true, whatever the worker is told. */
    store,
    /** What the worker asks, and a test can answer differently. */
    calls,
    deps,
    parent,
    /** `level message`, in the order in which they were logged. */
    logged,
    acquire: () => acquireTerm(deps, OPTIONS, parent.signal),
    /** A term that began at the clock's present time. */
    async term(): Promise<LeaseTerm> {
      const answer = await acquireTerm(deps, OPTIONS, parent.signal);
      if (answer.kind !== "acquired") throw new Error("the lease is held");
      return answer.term;
    },
    /** Timers and listeners that are still there. */
    leftBehind: () => clock.sleeping + getEventListeners(parent.signal, "abort").length,
  };
}

function recordTo(lines: string[]): Log {
  const at = (level: string) => (_fields: object, message: string) => {
    lines.push(`${level} ${message}`);
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

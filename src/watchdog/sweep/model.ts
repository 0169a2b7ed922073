/** What one sweep is asked for, works with, and tells. */
import type { CleanupDelays } from "../../rules/cleanup/cleanup-plan.ts";
import type { ClockPeer, ClockReading } from "../../rules/clock-skew.ts";
import type { Shard } from "../../rules/fleet/shard.ts";
import type { GuardPolicy, GuardScene } from "../../rules/guard.ts";
import type { Evidence, RunSnapshot, Trigger, Verdict, VerdictPolicy } from "../../rules/model.ts";
import type { RunOutcome, SweepReport, Waiting } from "../../rules/report.ts";
import type { SharedSlots } from "../concurrency/shared-slots.ts";
import type { StoreUnavailableError } from "../errors.ts";
import type { Backend, Clock, Fence, Log } from "../ports.ts";
import type { Backlog, LeadershipView, RunStore, StaleQuery } from "../store-ports.ts";
import type { OutcomeCounter } from "./report.ts";

export interface SweepOptions extends CleanupDelays {
  /** Of how many runs the outcome is waited for at once. */
  readonly concurrency: number;
  readonly pageSize: number;
  readonly deferMs: number;
  readonly nullDeadlineAfterMs: number;
  readonly policy: VerdictPolicy;
  readonly guard: GuardPolicy;
}

export interface SweepRequest {
  readonly trigger: Trigger;
  /** The distance of the schedule's ticks around now. */
  readonly intervalMs: number;
  /** Only these runs; `null` for all. */
  readonly runIds: readonly string[] | null;
  /** At most this many runs; `null` for all. */
  readonly limit: number | null;
  /** A person's reason to let every confirmed presumption pass the guard; `null` leaves it in force. */
  readonly overrideReason: string | null;
  /** Left out: all runs, whatever they are divided into. */
  readonly shard?: Shard;
}

export const ALL_RUNS = { runIds: null, limit: null, overrideReason: null } as const;

/** Who wants to know how a sweep goes on: health, a progress bar. Must not throw. */
export interface SweepWatch {
  onLeadership?(view: LeadershipView): void;
  /** Somebody told the time. */
  onClock?(peer: ClockPeer, reading: ClockReading): void;
  /** The lease and an epoch are ours. */
  onTerm?(trustedUntilMs: () => number): void;
  /** `backlog` is that of all shards, counted in the first one's sweep only. */
  onBegin?(begun: { readonly epoch: number | null; readonly backlog: Backlog | null }): void;
  onOutcome?(outcome: RunOutcome): void;
  /** The guard holds verdicts back, and why. */
  onHold?(reason: string): void;
  /** What the guard knows each time that it decides. */
  onScene?(scene: GuardScene): void;
  /** The sweep has ended; also a dry run. */
  onSweep?(report: SweepReport): void;
  /** Another watchdog has ended so many runs that were suspected or held here. */
  onEndedElsewhere?(count: number): void;
  /** So many presumptions have turned out wrong. */
  onOverturned?(count: number): void;
  /** The runs that wait, counted when the sweep has ended. */
  onWaiting?(waiting: Waiting): void;
  /** A call of a port came to an end. */
  onProgress?(): void;
  /** After every read of runs: `null` when Postgres answered. */
  onStoreTry?(failure: StoreUnavailableError | null): void;
}

/** What others may be told besides the worker's own status. */
export type SweepHooks = Pick<
  SweepWatch,
  "onOutcome" | "onHold" | "onSweep" | "onEndedElsewhere" | "onOverturned"
>;

/** Tells both, `watch` first. */
export function withHooks(watch: SweepWatch, hooks: SweepHooks): SweepWatch {
  return {
    ...watch,
    onOutcome(outcome) {
      watch.onOutcome?.(outcome);
      hooks.onOutcome?.(outcome);
    },
    onHold(reason) {
      watch.onHold?.(reason);
      hooks.onHold?.(reason);
    },
    onSweep(report) {
      watch.onSweep?.(report);
      hooks.onSweep?.(report);
    },
    onEndedElsewhere(count) {
      watch.onEndedElsewhere?.(count);
      hooks.onEndedElsewhere?.(count);
    },
    onOverturned(count) {
      watch.onOverturned?.(count);
      hooks.onOverturned?.(count);
    },
  };
}

/** What all parts of one pass over the stale runs work with. */
export interface SweepContext {
  readonly store: RunStore;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Log;
  readonly options: SweepOptions;
  readonly request: SweepRequest;
  readonly holder: string;
  readonly fence: Fence;
  /** With the moment everything is compared with. */
  readonly query: StaleQuery;
  /** Told about each run once, when it has ended. */
  readonly outcomes: OutcomeCounter;
  readonly watch: Pick<SweepWatch, "onBegin" | "onHold" | "onScene">;
  /** What the sweeps of this process share; left out where there is but one. */
  readonly slots?: SharedSlots;
}

/** A run about which the backend was asked. */
export interface Judged<V extends Verdict = Verdict> {
  readonly run: RunSnapshot;
  readonly evidence: Evidence;
  readonly verdict: V;
  /** How long the answer took. */
  readonly verifyMs: number;
}

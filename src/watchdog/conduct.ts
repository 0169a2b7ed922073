/**
 * A sweep from the lease to the report. Redis or the leadership row elects, Postgres fences: the epoch is taken after
 * the lease, trust in the lease is checked again after that, and every write checks both.
 */
import type { Trigger } from "../rules/model.ts";
import type { RunOutcome, SweepReport } from "../rules/report.ts";
import type { LeaseTiming } from "../rules/timing.ts";
import type { CleanupSlots } from "./chores.ts";
import { acquireTerm } from "./lease-keeper.ts";
import { LedSweep } from "./led-sweep.ts";
import type {
  Backend,
  Backlog,
  Clock,
  Journal,
  Leadership,
  LeadershipView,
  Lease,
  LeaseKind,
  Log,
  Random,
  RunStore,
  StoreUnavailableError,
} from "./ports.ts";
import type { SweepOptions } from "./sweep.ts";

export interface ConductDeps {
  readonly lease: Lease;
  readonly leadership: Leadership;
  readonly store: RunStore;
  readonly journal: Journal;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly watch: SweepWatch;
}

/** Who wants to know how a sweep goes on: health, a progress bar. Must not throw. */
export interface SweepWatch {
  onLeadership?(view: LeadershipView): void;
  /** The lease and an epoch are ours. */
  onTerm?(trustedUntilMs: () => number): void;
  onBegin?(begun: { readonly epoch: number | null; readonly backlog: Backlog }): void;
  onOutcome?(outcome: RunOutcome): void;
  onProgress?(): void;
  /** After every read of runs: `null` when Postgres answered. */
  onStoreTry?(failure: StoreUnavailableError | null): void;
}

export interface ConductOptions {
  /** `host/pid/random`. */
  readonly holder: string;
  readonly lease: LeaseTiming;
  /** How long a sweep may go without a finished statement or question before it gives up the lease. */
  readonly progressTimeoutMs: number;
  readonly sweep: Omit<SweepOptions, "runIds" | "limit">;
  readonly cleanupSlots: CleanupSlots;
  /** How long clean-ups may go on after the last run; the rest waits for the next sweep. */
  readonly cleanupTailMs: number;
}

export interface SweepRequest {
  readonly trigger: Trigger;
  /** The distance of the schedule's ticks around now. */
  readonly intervalMs: number;
  readonly runIds: readonly string[] | null;
  readonly limit: number | null;
}

export type Conducted =
  | { readonly kind: "swept"; readonly report: SweepReport; readonly error: unknown }
  /** `expiresInMs` is `null` when the lease never expires by itself. */
  | {
      readonly kind: "lease-held";
      readonly holder: string | null;
      readonly expiresInMs: number | null;
    }
  | { readonly kind: "other-lease-kind"; readonly noted: LeaseKind }
  | { readonly kind: "already-swept" };

/**
 * One attempt to sweep as the leader.
 *
 * @throws StoreUnavailableError, StoreSchemaError, LeaseUnavailableError, LeaseLostError or `signal.reason` when nothing
 *   was swept. What goes wrong after that is in the report, with its cause in `error`.
 */
export async function conductSweep(
  deps: ConductDeps,
  options: ConductOptions,
  request: SweepRequest,
  signal: AbortSignal,
): Promise<Conducted> {
  const view = await deps.leadership.read();
  deps.watch.onLeadership?.(view);
  // A dead fleet of the other kind is taken over: 2 TTL for its lease, one interval for its next sweep.
  const otherKindAfterMs = 2 * options.lease.ttlMs + request.intervalMs;
  const { leaseKind: noted, sinceProgressMs } = view;
  if (noted !== null && noted !== deps.lease.kind && sinceProgressMs !== null) {
    if (sinceProgressMs < otherKindAfterMs) return { kind: "other-lease-kind", noted };
  }

  const { holder, lease: timing, progressTimeoutMs } = options;
  const { installation } = view;
  const answer = await acquireTerm(
    deps,
    { ...timing, installation, holder, progressTimeoutMs },
    signal,
  );
  if (answer.kind === "held") {
    return { kind: "lease-held", holder: answer.holder, expiresInMs: answer.expiresInMs };
  }
  const { term } = answer;
  try {
    const full = request.runIds === null && request.limit === null;
    const { kind: leaseKind } = deps.lease;
    const epoch = await deps.leadership.begin(
      {
        holder,
        leaseValue: term.value,
        leaseKind,
        trigger: request.trigger,
        full,
        intervalMs: request.intervalMs,
        otherKindAfterMs,
      },
      () => term.check(),
    );
    if (epoch.kind === "lease-lost") return { kind: "lease-held", holder: null, expiresInMs: 0 };
    if (epoch.kind !== "begun") return epoch;
    return await new LedSweep(deps, options, request, term, epoch, full).run(signal);
  } finally {
    await term.release();
  }
}

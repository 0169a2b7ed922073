/**
 * A sweep from the lease to the report. Redis or the leadership row elects, Postgres fences: the epoch is taken after
 * the lease, trust in the lease is checked again after that, and every write checks both.
 */
import { isInForce } from "../../rules/fleet/pause.ts";
import type { LeadershipView } from "../store-ports.ts";
import type { SweepRequest } from "../sweep/model.ts";
import { inSweepSpan, traced } from "../tracing.ts";
import { acquireTerm } from "./acquire.ts";
import { readLeadership, readLeaseClock, showBackendClock } from "./clocks.ts";
import { LeaderSweep } from "./leader-sweep.ts";
import type { LeadDeps, LeadOptions, LeadResult } from "./model.ts";

/**
 * One attempt to sweep as the leader.
 *
 * @throws StoreUnavailableError, StoreSchemaError, LeaseUnavailableError, LeaseLostError or `signal.reason` when nothing
 *   was swept. What goes wrong after that is in the report, with its cause in `error`.
 */
export async function leadSweep(
  deps: LeadDeps,
  options: LeadOptions,
  request: SweepRequest,
  signal: AbortSignal,
): Promise<LeadResult> {
  // Not between the epoch and the first write: what it takes to load is taken from the lease there.
  const tracer = deps.tracing ? await deps.tracing.tracer() : null;
  const view = await readLeadership(deps);
  // Without the lease nobody is kept from the work that goes on when the pause is over.
  if (isInForce(view.lastPause)) return { kind: "paused", pause: view.lastPause };
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
  if (answer.kind === "lease-held") {
    await readLeaseClock(deps);
    return { ...answer, heldForMs: heldForMs(view, answer.holder) };
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
    if (epoch.kind === "lease-lost") return NOBODY_HOLDS;
    if (epoch.kind !== "begun") return epoch;
    // What the API asked the leader before us for still holds.
    deps.backend.api?.restore(epoch.throttle);
    const leader = new LeaderSweep(traced(deps, tracer), options, request, term, epoch, full);
    const about = { epoch: epoch.epoch, trigger: request.trigger };
    return await inSweepSpan(tracer, about, () => leader.run(signal));
  } finally {
    await term.release();
    showBackendClock(deps);
    if (!signal.aborted) await readLeaseClock(deps);
  }
}

const NOBODY_HOLDS = { kind: "lease-held", holder: null, expiresInMs: 0, heldForMs: null } as const;

/** Whoever sweeps took the lease right before; `null` for somebody else, who has only just taken it. */
function heldForMs(
  { holder, sweepStartedAt, sweepFinishedAt, readAt }: LeadershipView,
  leaseHolder: string | null,
): number | null {
  if (leaseHolder === null || holder !== leaseHolder) return null;
  if (sweepStartedAt === null || sweepFinishedAt !== null) return null;
  const sinceMs = Date.parse(readAt) - Date.parse(sweepStartedAt);
  return sinceMs >= 0 ? sinceMs : null;
}

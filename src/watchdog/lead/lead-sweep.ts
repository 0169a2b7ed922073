/**
 * A sweep from the lease to the report. Redis or the leadership row elects, Postgres fences: the epoch is taken after
 * the lease, trust in the lease is checked again after that, and every write checks both.
 */
import { isInForce } from "../../rules/fleet/pause.ts";
import { type LeaseNote, noteOf, WHOLE } from "../../rules/fleet/shard.ts";
import type { LeadershipView } from "../store-ports.ts";
import type { SweepRequest } from "../sweep/model.ts";
import { inSweepSpan, traced } from "../tracing.ts";
import { type Patience, takeLeases } from "./acquire.ts";
import { readLeadership, readLeaseClock, showBackendClock } from "./clocks.ts";
import { LeaderSweep } from "./leader-sweep.ts";
import type { LeadDeps, LeadOptions, LeadResult } from "./model.ts";

/**
 * One attempt to sweep as the leader: of one shard, or of all runs under the leases of all shards.
 *
 * @param patience asked where only some of several leases could be taken.
 * @throws StoreUnavailableError, StoreSchemaError, LeaseUnavailableError, LeaseLostError or `signal.reason` when nothing
 *   was swept. What goes wrong after that is in the report, with its cause in `error`.
 */
export async function leadSweep(
  deps: LeadDeps,
  options: LeadOptions,
  request: SweepRequest,
  signal: AbortSignal,
  patience: Patience = NONE,
): Promise<LeadResult> {
  // Not between the epoch and the first write: what it takes to load is taken from the lease there.
  const tracer = deps.tracing ? await deps.tracing.tracer() : null;
  const { shards } = options;
  const { index: shard } = request.shard ?? WHOLE;
  const leads = request.shard === undefined ? Array.from({ length: shards }, (_, n) => n) : [shard];
  const { kind: leaseKind } = deps.lease;
  const view = await readLeadership(deps, shard);
  // Without the lease nobody is kept from the work that goes on when the pause is over.
  if (isInForce(view.lastPause)) return { kind: "paused", pause: view.lastPause };
  // A dead fleet of the other kind is taken over: 2 TTL for its lease, one interval for its next sweep.
  const otherKindAfterMs = 2 * options.lease.ttlMs + request.intervalMs;
  const refusal = refusedBy(view, { leaseKind, shards }, shard, otherKindAfterMs);
  if (refusal !== null) return refusal;

  const { holder, lease: timing, progressTimeoutMs } = options;
  const { installation } = view;
  const leaseOptions = { ...timing, installation, holder, progressTimeoutMs };
  const answer = await takeLeases(deps, leaseOptions, leads, patience, signal);
  if (answer.kind === "lease-held") {
    await readLeaseClock(deps);
    const { shard: held = shard, ...only } = answer;
    const heldFor = { heldForMs: held === shard ? heldForMs(view, only.holder) : null };
    return shards > 1 ? { ...only, ...heldFor, shard: held } : { ...only, ...heldFor };
  }
  const { lease } = answer;
  try {
    const full = request.runIds === null && request.limit === null;
    const epoch = await deps.leadership.begin(
      {
        shard,
        fencesAll: leads.length > 1,
        holder,
        leaseValue: lease.value,
        leaseKind,
        shards,
        trigger: request.trigger,
        full,
        intervalMs: request.intervalMs,
        otherKindAfterMs,
      },
      () => lease.check(),
    );
    if (epoch.kind === "lease-lost") return NOBODY_HOLDS;
    if (epoch.kind !== "begun") return epoch;
    // What the API asked the leader before us for still holds.
    deps.backend.api?.restore(epoch.throttle);
    const leader = new LeaderSweep(traced(deps, tracer), options, request, lease, epoch, full);
    const about = { epoch: epoch.epoch, trigger: request.trigger };
    return await inSweepSpan(tracer, about, () => leader.run(signal));
  } finally {
    await lease.release();
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

const NONE: Patience = async () => false;

/** What the row says before anything is asked for; the epoch is refused for the same reasons. */
function refusedBy(
  { leaseKind, shards, sinceProgressMs }: LeadershipView,
  own: LeaseNote,
  shard: number,
  otherKindAfterMs: number,
): LeadResult | null {
  const noted = leaseKind && { leaseKind, shards };
  if (noted !== null && noteOf(noted) === noteOf(own)) return null;
  // Only the leader of the first shard changes what is noted.
  if (shard > 0) return { kind: "other-lease-kind", noted };
  if (noted === null || sinceProgressMs === null) return null;
  return sinceProgressMs < otherKindAfterMs ? { kind: "other-lease-kind", noted } : null;
}

import type { Pause } from "../../../rules/fleet/pause.ts";
import type { FleetFacts } from "../../../rules/health.ts";
import { leaseKeyOf } from "../../../rules/lease-key.ts";
import type { SweepReport } from "../../../rules/report.ts";
import type { Clock } from "../../ports.ts";
import { LeadStatus } from "./lead-status.ts";
import type { Role, WorkerFacts, WorkerIdentity } from "./worker-facts.ts";

type LeadFacts = Pick<
  WorkerFacts,
  | "role"
  | "progressAtMs"
  | "fleet"
  | "lastPause"
  | "otherLeaseKind"
  | "otherShards"
  | "endlessLeaseKey"
  | "lastSweep"
  | "heldFor"
  | "lastFailure"
  | "leaseHolder"
  | "leaseExpiresAt"
  | "leaseHeldForMs"
  | "ownLastSweep"
  | "leadership"
  | "shards"
>;

/** What a worker says of all shards in one word each; where the runs are not divided there is a single one. */
export class AllLeads {
  readonly #clock: Clock;
  readonly #identity: WorkerIdentity;
  readonly #leads: readonly LeadStatus[];

  constructor(clock: Clock, identity: WorkerIdentity) {
    this.#clock = clock;
    this.#identity = identity;
    const { holder, shards = 1 } = identity;
    this.#leads = Array.from(
      { length: shards },
      (_, shard) => new LeadStatus(clock, holder, shard),
    );
  }

  of(shard: number): LeadStatus {
    const lead = this.#leads[shard];
    if (lead === undefined) throw new Error(`there is no shard ${shard}`);
    return lead;
  }

  /** Nothing is held back any more. */
  holdNothing(): void {
    for (const lead of this.#leads) lead.heldFor = null;
  }

  get facts(): LeadFacts {
    const first = this.of(0);
    const role = this.#role;
    const { holder } = this.#identity;
    return {
      role,
      progressAtMs: leastOf(this.#leads.map(({ progressAtMs }) => progressAtMs)),
      fleet: this.#fleet,
      lastPause: this.lastPause,
      ...this.#otherNote,
      endlessLeaseKey: this.#endlessLeaseKey,
      lastSweep: this.#lastSweep,
      heldFor: first.ownSweepIsLast ? first.heldFor : null,
      lastFailure: this.#lastFailure,
      leaseHolder: role === "sweeping" ? holder : (first.heldBy?.holder ?? null),
      leaseExpiresAt: this.#leaseExpiresAt,
      leaseHeldForMs: this.#leaseHeldForMs,
      ownLastSweep: this.#ownLastSweep,
      leadership: first.seen?.view ?? null,
      ...(this.#leads.length > 1 && { shards: this.#leads.map((lead) => lead.facts) }),
    };
  }

  /** As of now: it runs down by itself. */
  get lastPause(): Pause | null {
    const [newest] = this.#leads
      .flatMap(({ seen }) => seen ?? [])
      .toSorted((a, b) => b.seenAtMs - a.seenAtMs);
    const pause = newest?.view.lastPause ?? null;
    if (newest === undefined || pause === null) return null;
    return { ...pause, leftMs: pause.leftMs - (this.#clock.monotonicMs() - newest.seenAtMs) };
  }

  /** Of the shard that was swept last. */
  get #fleet(): FleetFacts | null {
    const seen = this.#leads.flatMap(({ fleet }) => fleet ?? []);
    return seen.toSorted((a, b) => sweptAtMs(b) - sweptAtMs(a))[0] ?? null;
  }

  get #role(): Role {
    const roles = this.#leads.map(({ role }) => role);
    return ROLES.find((role) => roles.includes(role)) ?? "idle";
  }

  get #otherNote(): Pick<WorkerFacts, "otherLeaseKind" | "otherShards"> {
    const noted = this.#leads.find(({ otherNote }) => otherNote !== null)?.otherNote ?? null;
    const { leaseKind, shards = 1 } = this.#identity;
    return {
      otherLeaseKind: noted !== null && noted.leaseKind !== leaseKind ? noted.leaseKind : null,
      ...(noted !== null && noted.shards !== shards && { otherShards: noted.shards }),
    };
  }

  /** The worst of all shards. */
  get #lastSweep(): string | null {
    const found = this.#leads.map(({ lastSweep }) => lastSweep);
    return WORST_FIRST.find((status) => found.includes(status)) ?? found[0] ?? null;
  }

  get #lastFailure(): string | null {
    const failed = this.#leads.find(({ ownLastSweep }) => ownLastSweep?.status === "error");
    return failed?.ownLastSweep?.message ?? null;
  }

  get #ownLastSweep(): SweepReport | null {
    const own = this.#leads.flatMap(({ ownLastSweep }) => ownLastSweep ?? []);
    return own.toSorted((a, b) => (a.finishedAt < b.finishedAt ? 1 : -1))[0] ?? null;
  }

  /** Our own lease lasts as long as we trust it; of another one we know what the store said. */
  get #leaseExpiresAt(): Date | null {
    if (this.#role !== "sweeping") return this.of(0).heldBy?.expiresAt ?? null;
    const own = this.#leads.filter(({ role }) => role === "sweeping");
    const untilMs = Math.min(...own.map((lead) => lead.trustedUntilMs()));
    const trustedForMs = untilMs - this.#clock.monotonicMs();
    return new Date(this.#clock.now().getTime() + trustedForMs);
  }

  get #leaseHeldForMs(): number | null {
    const own = this.#leads.filter(({ role }) => role === "sweeping");
    const sinceMs =
      own.length > 0
        ? Math.min(...own.map(({ termSinceMs }) => termSinceMs))
        : (this.of(0).heldBy?.sinceMs ?? null);
    return sinceMs === null ? null : this.#clock.monotonicMs() - sinceMs;
  }

  /** Only a key in Redis can lose its expiry. */
  get #endlessLeaseKey(): string | null {
    const endless = this.#leads.find(({ heldBy }) => heldBy !== null && heldBy.expiresAt === null);
    if (endless === undefined) return null;
    return leaseKeyOf(this.of(0).seen?.view.installation ?? "*", endless.shard);
  }
}

/** What a worker is while its shards differ: the first of these that one of them says. */
const ROLES: readonly Role[] = ["sweeping", "observing", "standby"];
const WORST_FIRST: readonly (string | null)[] = ["error", "held", "partial"];

function leastOf(values: readonly (number | null)[]): number | null {
  const found = values.filter((value) => value !== null);
  return found.length === 0 ? null : Math.min(...found);
}

/** Monotonic; when the shard was last swept. */
function sweptAtMs({ seenAtMs, sinceFinishMs, sinceProgressMs }: FleetFacts): number {
  return seenAtMs - (leastOf([sinceFinishMs, sinceProgressMs]) ?? Number.POSITIVE_INFINITY);
}

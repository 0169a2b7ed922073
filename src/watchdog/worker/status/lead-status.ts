import type { LeaseNote } from "../../../rules/fleet/shard.ts";
import type { FleetFacts } from "../../../rules/health.ts";
import type { SweepReport } from "../../../rules/report.ts";
import type { HeldElsewhere } from "../../lead/model.ts";
import type { Clock, LeaseKind } from "../../ports.ts";
import type { LeadershipView } from "../../store-ports.ts";
import type { Role, ShardFacts } from "./worker-facts.ts";

interface HeldBy {
  readonly holder: string | null;
  readonly expiresAt: Date | null;
  /** Monotonic. */
  readonly sinceMs: number | null;
}

/** What a worker knows of one shard and does about it. */
export class LeadStatus {
  readonly shard: number;
  readonly #clock: Clock;
  readonly #holder: string;
  role: Role = "idle";
  /** The last sign of life of our sweep; `null` when none runs. */
  progressAtMs: number | null = null;
  trustedUntilMs: () => number = () => 0;
  /** Since when the lease is ours. */
  termSinceMs = 0;
  seen: { readonly seenAtMs: number; readonly view: LeadershipView } | null = null;
  otherNote: LeaseNote<LeaseKind> | null = null;
  heldBy: HeldBy | null = null;
  ownLastSweep: SweepReport | null = null;
  heldFor: string | null = null;

  constructor(clock: Clock, holder: string, shard: number) {
    this.#clock = clock;
    this.#holder = holder;
    this.shard = shard;
  }

  become(role: Role): void {
    this.role = role;
    this.otherNote = null;
    this.heldBy = null;
  }

  standBy({ holder, expiresInMs, heldForMs }: Omit<HeldElsewhere, "kind">): void {
    const expiresAt =
      expiresInMs === null ? null : new Date(this.#clock.now().getTime() + expiresInMs);
    const sinceMs = heldForMs === null ? null : this.#clock.monotonicMs() - heldForMs;
    this.become("standby");
    this.heldBy = { holder, expiresAt, sinceMs };
  }

  see(view: LeadershipView): void {
    this.seen = { seenAtMs: this.#clock.monotonicMs(), view };
  }

  get ownSweepIsLast(): boolean {
    const newest = this.seen?.view.epoch ?? 0;
    return (this.ownLastSweep?.epoch ?? 0) >= newest;
  }

  get lastSweep(): string | null {
    const own = this.ownLastSweep?.status ?? null;
    return this.ownSweepIsLast ? own : (this.seen?.view.lastStatus ?? null);
  }

  get fleet(): FleetFacts | null {
    if (this.seen === null) return null;
    const { seenAtMs, view } = this.seen;
    const { sinceFinishMs, sinceProgressMs } = view;
    return { seenAtMs, sinceFinishMs, sinceProgressMs };
  }

  /** The row is read before a sweep: whoever swept since is known better here. */
  get leader(): string | null {
    const isOwn = this.ownLastSweep !== null && this.ownSweepIsLast;
    return this.role === "sweeping" || isOwn ? this.#holder : (this.seen?.view.holder ?? null);
  }

  get facts(): ShardFacts {
    const { shard, role, leader, fleet } = this;
    return { shard, role, leader, fleet };
  }
}

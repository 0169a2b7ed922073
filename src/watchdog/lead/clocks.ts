/** What a sweep learns on its way of other machines' clocks. Nothing waits for it, or fails with it. */
import type { Backend, Clock, Lease } from "../ports.ts";
import type { Leadership, LeadershipView } from "../store-ports.ts";
import type { SweepWatch } from "../sweep/model.ts";

interface Watched {
  readonly watch: Pick<SweepWatch, "onClock" | "onLeadership">;
}

/** Reads the leadership row, and with it the database's clock. Rejects as the row does. */
export async function readLeadership(
  {
    leadership,
    clock,
    watch,
  }: Watched & {
    readonly leadership: Pick<Leadership, "read">;
    readonly clock: Pick<Clock, "now">;
  },
  shard: number,
): Promise<LeadershipView> {
  const sentMs = clock.now().getTime();
  const view = await leadership.read(shard);
  const receivedMs = clock.now().getTime();
  watch.onLeadership?.(view);
  const theirMs = Date.parse(view.readAt);
  watch.onClock?.("postgres", { theirMs, sentMs, receivedMs, precisionMs: 1 });
  return view;
}

/** The clock that the backend's answers showed. */
export function showBackendClock({
  backend,
  watch,
}: Watched & { readonly backend: Pick<Backend, "api"> }): void {
  const reading = backend.api?.clock ?? null;
  if (reading !== null) watch.onClock?.("backend", reading);
}

/** Asks the lease store for its clock, where it has one of its own: while nothing else waits for it. Never rejects. */
export async function readLeaseClock({
  lease,
  watch,
}: Watched & { readonly lease: Pick<Lease, "clock"> }): Promise<void> {
  if (watch.onClock === undefined) return;
  const reading = (await lease.clock?.()) ?? null;
  if (reading !== null) watch.onClock("redis", reading);
}

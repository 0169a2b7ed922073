import { NOBODY_WAITS } from "../../src/rules/report.ts";
import type { FleetView, ListedWorker } from "../../src/rules/status/fleet-status.ts";

/** Two workers of one configuration, and a sweep that ended well half a minute ago. */
export function fleetView(changes: Partial<FleetView> = {}): FleetView {
  return {
    readAt: "2026-01-01T00:00:00.000000+00:00",
    clockSkewMs: 0,
    epoch: 42,
    leader: "host-1/4711/ab12",
    leaseKind: "redis",
    sinceProgressMs: 28_000,
    lastPause: null,
    lastSweep: {
      sinceStartMs: 30_000,
      sinceFinishMs: 28_000,
      status: "ok",
      counts: { stale: 4, completed: 3, failed: 1 },
    },
    waiting: NOBODY_WAITS,
    held: [],
    cleanups: { pending: 0, overdueMs: null },
    workers: [aWorker(), aWorker({ holder: "host-2/1/cd34" })],
    ...changes,
  };
}

export function aWorker(changes: Partial<ListedWorker> = {}): ListedWorker {
  return {
    holder: "host-1/4711/ab12",
    version: "1.2.3",
    fingerprint: "0123456789ab",
    leaseKind: "redis",
    upMs: 7_500_000,
    seenAgoMs: 12_000,
    ...changes,
  };
}

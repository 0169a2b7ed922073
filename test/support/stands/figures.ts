import type { FleetFigures } from "../../../src/watchdog/figure-ports.ts";

/** Of a fleet without runs. */
export const NO_FIGURES: FleetFigures = {
  nowMs: 0,
  epoch: 0,
  overdueRuns: 0,
  oldestOverdueMs: null,
  hardDeadlineSoonRuns: 0,
  silentRuns: 0,
  pendingRuns: 0,
  oldestPendingMs: null,
  pendingCleanups: 0,
  oldestCleanupMs: null,
};

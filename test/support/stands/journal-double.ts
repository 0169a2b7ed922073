import type { Journal } from "../../../src/watchdog/journal-ports.ts";

/** The real journal, but for the methods that are given. */
export function journalWith(journal: Journal, methods: Partial<Journal>): Journal {
  return {
    claimCleanups: (...args) => journal.claimCleanups(...args),
    cleanupDone: (...args) => journal.cleanupDone(...args),
    cleanupFailed: (...args) => journal.cleanupFailed(...args),
    pendingCleanups: () => journal.pendingCleanups(),
    openFirstRuns: (...args) => journal.openFirstRuns(...args),
    recordFirstRun: (...args) => journal.recordFirstRun(...args),
    closeOverturnedFirstRuns: (...args) => journal.closeOverturnedFirstRuns(...args),
    firstRunDone: (...args) => journal.firstRunDone(...args),
    adoptLateSandboxes: (...args) => journal.adoptLateSandboxes(...args),
    adoptOverdueStamps: (...args) => journal.adoptOverdueStamps(...args),
    markOverturned: (...args) => journal.markOverturned(...args),
    prune: (...args) => journal.prune(...args),
    ...methods,
  };
}

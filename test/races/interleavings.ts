/** The moments of a run's way through a sweep at which somebody else may write to it, made to measure. */
import type { LeadDeps } from "../../src/watchdog/lead/model.ts";
import type { Backend } from "../../src/watchdog/ports.ts";
import type { RunStore } from "../../src/watchdog/store-ports.ts";
import { journalWith } from "../support/stands/journal-double.ts";

/** In the order of a sweep; the last two lie around the write. */
export type Point =
  | "between the page and the re-read"
  | "between the re-read and the question"
  | "between the answer and the write"
  | "between the write and the clean-up";

/** For `world.sweep`: does `interfere` once for each run that reaches the point, and goes on when it is done. */
export function atPoint(point: Point, interfere: (runId: string) => Promise<unknown>) {
  const met = new Set<string>();
  async function onceFor(runId: string): Promise<void> {
    if (met.has(runId)) return;
    met.add(runId);
    await interfere(runId);
  }
  return ({ store, journal, backend }: LeadDeps): Partial<LeadDeps> => {
    switch (point) {
      case "between the page and the re-read":
        return {
          store: storeWith(store, {
            async read(runId, query) {
              await onceFor(runId);
              return store.read(runId, query);
            },
          }),
        };
      case "between the re-read and the question":
        return {
          backend: backendWith(backend, {
            async verify(run, signal) {
              await onceFor(run.id);
              return backend.verify(run, signal);
            },
          }),
        };
      case "between the answer and the write":
        return {
          backend: backendWith(backend, {
            async verify(run, signal) {
              const evidence = await backend.verify(run, signal);
              await onceFor(run.id);
              return evidence;
            },
          }),
        };
      case "between the write and the clean-up": {
        let writing = 0;
        return {
          store: storeWith(store, {
            async apply(write, fence) {
              writing += 1;
              try {
                const result = await store.apply(write, fence);
                await onceFor(write.run.id);
                return result;
              } finally {
                writing -= 1;
              }
            },
          }),
          // A pass that is under way at the time of the write may find it.
          journal: journalWith(journal, {
            claimCleanups: async (...args) =>
              writing > 0 || met.size === 0 ? [] : journal.claimCleanups(...args),
          }),
        };
      }
    }
  };
}

/** The store with single methods replaced. */
export function storeWith(store: RunStore, changed: Partial<RunStore>): RunStore {
  return {
    backlog: (...args) => store.backlog(...args),
    waiting: (...args) => store.waiting(...args),
    stalePage: (...args) => store.stalePage(...args),
    read: (...args) => store.read(...args),
    apply: (...args) => store.apply(...args),
    defer: (...args) => store.defer(...args),
    deferSkipped: (...args) => store.deferSkipped(...args),
    noteError: (...args) => store.noteError(...args),
    dropSuspicions: (...args) => store.dropSuspicions(...args),
    guardFacts: (...args) => store.guardFacts(...args),
    controlRuns: (...args) => store.controlRuns(...args),
    facts: (...args) => store.facts(...args),
    ...changed,
  };
}

export function backendWith(backend: Backend, changed: Partial<Backend>): Backend {
  return {
    name: backend.name,
    cleans: backend.cleans,
    ...(backend.needs === undefined ? {} : { needs: backend.needs }),
    verify: (...args) => backend.verify(...args),
    cleanup: (...args) => backend.cleanup(...args),
    ...changed,
  };
}

import { StoreUnavailableError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import type { RunStore } from "../store-ports.ts";

/** A store that judges for show: reads are real, writes succeed and change nothing. */
export function dryStore(store: RunStore): RunStore {
  return {
    stalePage: (...args) => store.stalePage(...args),
    backlog: (...args) => store.backlog(...args),
    read: (...args) => store.read(...args),
    facts: (...args) => store.facts(...args),
    guardFacts: (...args) => store.guardFacts(...args),
    controlRuns: (...args) => store.controlRuns(...args),
    apply: async () => ({ kind: "written" }),
    defer: async () => ({ kind: "written" }),
    deferSkipped: async () => {},
    noteError: async () => {},
    dropSuspicions: async () => 0,
  };
}

/**
 * A store whose reads are tried again while Postgres restarts or fails over. Writes are passed on as they are: their
 * outcome has to be looked into first (resolve-write.ts).
 *
 * @param onTry told about every read: `null` when Postgres answered, else what kept it from answering.
 */
export function patientStore(
  store: RunStore,
  clock: Clock,
  signal: AbortSignal,
  onTry: (failure: StoreUnavailableError | null) => void = () => {},
): RunStore {
  async function patiently<T>(read: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const found = await read();
        onTry(null);
        return found;
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error;
        onTry(error);
        const waitMs = RETRY_AFTER_MS[attempt];
        if (waitMs === undefined) throw error;
        await clock.sleep(waitMs, signal);
      }
    }
  }
  return {
    stalePage: (...args) => patiently(() => store.stalePage(...args)),
    backlog: (...args) => patiently(() => store.backlog(...args)),
    read: (...args) => patiently(() => store.read(...args)),
    facts: (...args) => patiently(() => store.facts(...args)),
    guardFacts: (...args) => patiently(() => store.guardFacts(...args)),
    controlRuns: (...args) => patiently(() => store.controlRuns(...args)),
    apply: (...args) => store.apply(...args),
    defer: (...args) => store.defer(...args),
    deferSkipped: (...args) => store.deferSkipped(...args),
    noteError: (...args) => store.noteError(...args),
    dropSuspicions: (...args) => store.dropSuspicions(...args),
  };
}

/** About as long as a server takes to restart; a longer outage ends the sweep. */
const RETRY_AFTER_MS = [250, 1000, 3000];

/** What is done around the calls of a port: somebody is told that they ended, or they are tried again. */
import { StoreUnavailableError } from "./errors.ts";
import type { Backend, Clock } from "./ports.ts";
import type { Journal, RunStore } from "./store-ports.ts";

export interface WorkPorts {
  readonly store: RunStore;
  readonly journal: Journal;
  readonly backend: Backend;
}

/** The same ports, with `onProgress` after each call that came to an end, whatever the end was. */
export function withProgress(
  { store, journal, backend }: WorkPorts,
  onProgress: () => void,
): WorkPorts {
  async function around<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } finally {
      onProgress();
    }
  }
  const { name, cleans, api, needs, pause } = backend;
  return {
    store: eachCall(store, [...STORE_READS, ...STORE_WRITES], around),
    journal: eachCall(journal, JOURNAL_CALLS, around),
    backend: {
      name,
      cleans,
      ...(api && { api }),
      ...(needs && { needs }),
      ...eachCall(backend, ["verify", "cleanup"], around),
      ...(pause && eachCall(backend, ["pause"], around)),
    },
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
    ...eachCall(store, STORE_READS, patiently),
    ...eachCall(store, STORE_WRITES, (write) => write()),
  };
}

/** About as long as a server takes to restart; a longer outage ends the sweep. */
const RETRY_AFTER_MS = [250, 1000, 3000];

/** The methods of these names, each call made through `around`. They are looked up on the port when they are called. */
export function eachCall<P extends object, Name extends Calls<P>>(
  port: P,
  names: readonly Name[],
  around: <T>(call: () => Promise<T>) => Promise<T>,
): Pick<P, Name> {
  const target: object = port;
  const calls = names.map((name) => {
    const call = (...args: readonly unknown[]) =>
      around<unknown>(() => Reflect.apply(Reflect.get(target, name), target, args));
    return [name, call] as const;
  });
  // Each of the names stands there, and its call takes and gives what the port's own does.
  return Object.fromEntries(calls) as unknown as Pick<P, Name>;
}

type Calls<P> = {
  [Name in keyof P]-?: NonNullable<P[Name]> extends (...args: never[]) => Promise<unknown>
    ? Name
    : never;
}[keyof P];

// A method that is missing here is missing in what these are made into: the compiler sees that.
export const STORE_READS = [
  "backlog",
  "stalePage",
  "read",
  "guardFacts",
  "controlRuns",
  "facts",
] as const;
const STORE_WRITES = ["apply", "defer", "deferSkipped", "noteError", "dropSuspicions"] as const;
const JOURNAL_CALLS = [
  "claimCleanups",
  "cleanupDone",
  "cleanupFailed",
  "pendingCleanups",
  "openFirstRuns",
  "recordFirstRun",
  "closeOverturnedFirstRuns",
  "firstRunDone",
  "adoptLateSandboxes",
  "adoptOverdueStamps",
  "prune",
] as const;

/** What is done around the calls of a port: their answers are reported as progress, or reads are tried again. */
import { StoreUnavailableError } from "./errors.ts";
import type { Journal } from "./journal-ports.ts";
import type { Backend, Clock } from "./ports.ts";
import type { RunStore } from "./store-ports.ts";

export interface WorkPorts {
  readonly store: RunStore;
  readonly journal: Journal;
  readonly backend: Backend;
}

/**
 * The same ports, with `onProgress` after each statement that Postgres answered and each question to the backend that
 * ended, whatever the end was. A statement that fails is no progress: a leader cut off from Postgres must not lead on.
 */
export function withProgress(
  { store, journal, backend }: WorkPorts,
  onProgress: () => void,
): WorkPorts {
  function whenAnswered<T>(call: () => Promise<T>): Promise<T> {
    return call().then((answer) => {
      onProgress();
      return answer;
    });
  }
  async function whenEnded<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } finally {
      onProgress();
    }
  }
  return {
    store: eachCall(store, whenAnswered),
    journal: eachCall(journal, whenAnswered),
    backend: eachCall(backend, whenEnded),
  };
}

/** A new method does not compile before it is said which of the two it is. */
const CALLS = {
  backlog: "read",
  waiting: "read",
  stalePage: "read",
  read: "read",
  guardFacts: "read",
  controlRuns: "read",
  facts: "read",
  apply: "write",
  defer: "write",
  deferSkipped: "write",
  noteError: "write",
  dropSuspicions: "write",
} as const satisfies Readonly<Record<keyof RunStore, "read" | "write">>;

type NamesOf<K> = { [N in keyof typeof CALLS]: (typeof CALLS)[N] extends K ? N : never };
export type StoreWrites = Pick<RunStore, NamesOf<"write">[keyof typeof CALLS]>;

/** About as long as a server takes to restart; a longer outage ends the sweep. */
const RETRY_AFTER_MS = [250, 1000, 3000];

/**
 * A store whose reads are tried again while Postgres restarts or fails over. Writes are passed on as they are: their
 * outcome has to be found out first (resolve-write.ts).
 *
 * @param onTry told about every read: `null` when Postgres answered, else what kept it from answering.
 */
export function patientStore(
  store: RunStore,
  clock: Clock,
  signal: AbortSignal,
  onTry: (failure: StoreUnavailableError | null) => void = () => {},
): RunStore {
  const patiently = async <T>(call: () => Promise<T>): Promise<T> => {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const found = await call();
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
  };
  return eachCall(store, (call, name) =>
    CALLS[name as keyof RunStore] === "write" ? call() : patiently(call),
  );
}

/**
 * The same port, each call made through `around`. All methods of a port are asynchronous; what else it has is copied.
 * Methods are looked up on the port when they are called.
 */
export function eachCall<P extends object>(
  port: P,
  around: <T>(call: () => Promise<T>, name: string) => Promise<T>,
): P {
  const made: Record<string, unknown> = {};
  for (const name of namesOf(port)) {
    const found = Reflect.get<object, PropertyKey>(port, name);
    const call = (...args: readonly unknown[]) =>
      around<unknown>(
        () => Reflect.apply(Reflect.get<object, PropertyKey>(port, name), port, args),
        name,
      );
    made[name] = typeof found === "function" ? call : found;
  }
  // Each name of the port stands there, and a call takes and gives what the port's own does.
  return made as P;
}

/** Of the methods of a class as well, which stand in its prototype. */
function namesOf(port: object): ReadonlySet<string> {
  const names = new Set<string>();
  for (let owner = port; owner !== Object.prototype; owner = Object.getPrototypeOf(owner)) {
    for (const name of Object.getOwnPropertyNames(owner)) names.add(name);
  }
  names.delete("constructor");
  return names;
}

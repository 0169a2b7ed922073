import type { Evidence, RunSnapshot } from "../../../src/rules/model.ts";
import type {
  Backend,
  CleanupResult,
  CleanupTarget,
  PauseResult,
  RunIdName,
  SharedApi,
} from "../../../src/watchdog/ports.ts";

/** An answer that is under way for as long as the test likes. */
export interface Held<T> {
  readonly asked: Promise<void>;
  answer(value: T): void;
  /** Breaks the port's promise. */
  reject(error: unknown): void;
}

/** Says about each run what it was told to say, at once or when the test lets it; runs without an answer are running. */
export class ScriptedBackend implements Backend {
  readonly name = "scripted";
  cleans = true;
  needs: readonly RunIdName[] = [];
  api?: SharedApi;
  /** Only after `pauses`. */
  pause?: NonNullable<Backend["pause"]>;
  /** Run ids in the order in which they were asked about. */
  readonly asked: string[] = [];
  /** Run ids whose question was aborted. */
  readonly aborted: string[] = [];
  /** Sandbox ids in the order in which their deletion was asked for. */
  readonly deleted: string[] = [];
  /** Sandbox ids in the order in which they were to be paused. */
  readonly paused: string[] = [];
  readonly #answers = new Map<string, Line<Evidence>>();
  readonly #cleanups = new Map<string, Line<CleanupResult>>();

  says(runId: string, evidence: Evidence): void {
    this.#answers.set(runId, { asked: Promise.withResolvers(), answer: async () => evidence });
  }

  holds(runId: string): Held<Evidence> {
    return hold(this.#answers, runId);
  }

  cleanupSays(sandboxId: string, result: CleanupResult): void {
    this.#cleanups.set(sandboxId, { asked: Promise.withResolvers(), answer: async () => result });
  }

  holdsCleanup(sandboxId: string): Held<CleanupResult> {
    return hold(this.#cleanups, sandboxId);
  }

  /** From now on it pauses, with such an answer. */
  pauses(answer: (signal: AbortSignal) => Promise<PauseResult> = paused): void {
    this.pause = async ({ sandboxId }, signal) => {
      signal.throwIfAborted();
      this.paused.push(sandboxId);
      return await unlessAborted(answer(signal), signal, () => this.aborted.push(sandboxId));
    };
  }

  async verify(run: RunSnapshot, signal: AbortSignal): Promise<Evidence> {
    signal.throwIfAborted();
    this.asked.push(run.id);
    const line = this.#answers.get(run.id);
    if (line === undefined) return { kind: "running", output: "none" };
    line.asked.resolve();
    return await unlessAborted(line.answer(), signal, () => this.aborted.push(run.id));
  }

  async cleanup(target: CleanupTarget, signal: AbortSignal): Promise<CleanupResult> {
    signal.throwIfAborted();
    this.deleted.push(target.sandboxId);
    const line = this.#cleanups.get(target.sandboxId);
    if (line === undefined) return { kind: "deleted" };
    line.asked.resolve();
    return await unlessAborted(line.answer(), signal, () => this.aborted.push(target.sandboxId));
  }
}

async function paused(): Promise<PauseResult> {
  return { kind: "paused" };
}

interface Line<T> {
  readonly asked: PromiseWithResolvers<void>;
  readonly answer: () => Promise<T>;
}

function hold<T>(lines: Map<string, Line<T>>, key: string): Held<T> {
  const asked = Promise.withResolvers<void>();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  promise.catch(() => {});
  lines.set(key, { asked, answer: () => promise });
  return { asked: asked.promise, answer: resolve, reject };
}

async function unlessAborted<T>(
  answer: Promise<T>,
  signal: AbortSignal,
  onAbort: () => void,
): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const giveUp = () => {
    onAbort();
    reject(signal.reason);
  };
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    return await Promise.race([answer, aborted]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

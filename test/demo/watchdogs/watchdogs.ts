/** The demo's watchdogs: processes of their own, followed through their logs and their health. */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { SweepCounts } from "../../../src/rules/report.ts";
import type { Throwaway } from "../../services/throwaway.ts";
import { type Environment, type Program, spawnProgram } from "./program.ts";

const UP_WITHIN_MS = 30_000;
/** Longer than the watchdog's own patience. */
const STOP_WITHIN_MS = 12_000;
const TAIL_LINES = 5;

/** What the demo reads of a log line. */
export interface LogEntry {
  readonly msg?: string;
  readonly holder?: string;
  readonly health?: string;
  readonly runId?: string;
  readonly reason?: string | null;
  readonly epoch?: number | null;
  readonly durationMs?: number;
  readonly counts?: SweepCounts;
}

export interface WatchdogsOptions {
  readonly program: Program;
  readonly env: Environment;
  /** Keeps the logs, and ends the processes should we be killed. */
  readonly temporary: Throwaway;
  readonly onLog: (watchdog: Watchdog, entry: LogEntry) => void;
  /** One ended that was not told to. */
  readonly onExit: (watchdog: Watchdog, lastLines: string) => void;
}

export interface Watchdog {
  /** A, B, C ... */
  readonly letter: string;
  readonly pid: number;
  readonly healthUrl: string;
  readonly logFile: string;
  /** How it calls itself: `host/pid/random`. */
  readonly holder: string;
}

export class Watchdogs implements AsyncDisposable {
  readonly #options: WatchdogsOptions;
  readonly #processes = new Set<WatchdogProcess>();
  #started = 0;

  constructor(options: WatchdogsOptions) {
    this.#options = options;
  }

  get up(): readonly Watchdog[] {
    return [...this.#processes].flatMap(({ watchdog }) => (watchdog === null ? [] : [watchdog]));
  }

  /** Resolves when it is up. */
  async start(signal: AbortSignal): Promise<Watchdog> {
    signal.throwIfAborted();
    const letter = String.fromCharCode("A".charCodeAt(0) + this.#started);
    this.#started += 1;
    const one = new WatchdogProcess(letter, this.#options);
    this.#processes.add(one);
    void one.gone.then(() => this.#processes.delete(one));
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`watchdog ${letter} is not up after ${UP_WITHIN_MS / 1000} s`)),
      UP_WITHIN_MS,
    );
    const onAbort = () => late.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([one.up, late.promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** As a crash of its machine: it cannot do anything about it. */
  async kill(watchdog: Watchdog): Promise<void> {
    for (const one of this.#processes) if (one.watchdog === watchdog) await one.end("SIGKILL");
  }

  /** Asks all of them to stop, and waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#processes].map((one) => one.end("SIGTERM")));
  }
}

const HEALTH_WITHIN_MS = 5000;

export interface WatchdogHealth {
  readonly status: string;
  readonly role: string;
  readonly reasons: readonly string[];
}

/** @throws signal.reason when it has aborted; a watchdog that does not answer says so in its status. */
export async function healthOf(
  { healthUrl }: Watchdog,
  signal: AbortSignal,
): Promise<WatchdogHealth> {
  signal.throwIfAborted();
  try {
    const patience = AbortSignal.timeout(HEALTH_WITHIN_MS);
    const response = await fetch(`${healthUrl}/health`, { signal: patience });
    // Our own program's answer.
    return (await response.json()) as WatchdogHealth;
  } catch {
    return { status: "does not answer", role: "", reasons: [] };
  }
}

class WatchdogProcess {
  readonly up: Promise<Watchdog>;
  readonly gone: Promise<void>;
  watchdog: Watchdog | null = null;
  readonly #child: ReturnType<typeof spawnProgram>;
  readonly #tail: string[] = [];
  #isEnding = false;

  constructor(letter: string, options: WatchdogsOptions) {
    const { program, env, temporary, onLog, onExit } = options;
    const child = spawnProgram(program, ["run"], env);
    temporary.watch(child);
    this.#child = child;
    const logFile = join(temporary.folder, `${letter}.log`);
    const log = createWriteStream(logFile);
    const { promise, resolve, reject } = Promise.withResolvers<Watchdog>();
    this.up = promise;
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        log.write(`${line}\n`);
        this.#tail.push(line);
        if (this.#tail.length > TAIL_LINES) this.#tail.shift();
        const entry = parseLine(line);
        const { pid } = child;
        if (entry.msg === "run-watchdog is up" && pid !== undefined) {
          const { holder = "", health: healthUrl = "" } = entry;
          this.watchdog = { letter, pid, healthUrl, logFile, holder };
          resolve(this.watchdog);
        }
        if (this.watchdog !== null) onLog(this.watchdog, entry);
      });
    }
    const closed = once(child, "close").catch((error: unknown) => this.#tail.push(String(error)));
    this.gone = closed.then(() => {
      log.end();
      const lastLines = this.#tail.join("\n");
      reject(new Error(`watchdog ${letter} ended before it was up: ${lastLines}`));
      if (this.watchdog !== null && !this.#isEnding) onExit(this.watchdog, lastLines);
    });
    // Whoever waits for it hears of it; nobody has to.
    promise.catch(() => undefined);
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.#isEnding = true;
    this.#child.kill(signal);
    const patience = setTimeout(() => this.#child.kill("SIGKILL"), STOP_WITHIN_MS);
    await this.gone;
    clearTimeout(patience);
  }
}

/** What is not JSON, such as a crash's stack trace, says nothing to us. */
function parseLine(line: string): LogEntry {
  try {
    const value: unknown = JSON.parse(line);
    // Written by this very program.
    return typeof value === "object" && value !== null ? (value as LogEntry) : {};
  } catch {
    return {};
  }
}

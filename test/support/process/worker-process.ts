/** The program itself as a child process: started, read, signalled, and gone when the test is over. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { inject } from "vitest";
import { Throwaway } from "../../services/throwaway.ts";
import "../../services/provided.ts";

const LOG_WITHIN_MS = 90_000;
const EXIT_WITHIN_MS = 90_000;

/** The whole environment of the child: nothing is inherited. */
export type ProcessEnv = Readonly<Record<string, string>>;

export interface LogLine {
  readonly level: string;
  readonly time: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface WaitOptions {
  /** Lines before this index of `logs` do not count; default 0: lines that are there already do. */
  readonly since?: number;
  readonly withinMs?: number;
}

export interface WorkerProcess extends AsyncDisposable {
  readonly pid: number;
  /** The JSON log lines of both streams so far; grows. */
  readonly logs: readonly LogLine[];
  /** Settles when the process has ended and everything it printed has arrived. */
  readonly exited: Promise<Exit>;
  stdout(): string;
  stderr(): string;
  /** Rejects when the process ends without such a line, or none comes in time. */
  waitForLog(
    wanted: string | ((line: LogLine) => boolean),
    options?: WaitOptions,
  ): Promise<LogLine>;
  /** Needs WATCHDOG_HEALTH_PORT. */
  healthUrl(): Promise<string>;
  /** Default: SIGTERM. SIGSTOP and SIGCONT pause and resume it. */
  kill(signal?: NodeJS.Signals): void;
}

/** Starts the built program; ended with SIGKILL when it is disposed of or this process dies. */
export async function startWorker(
  env: ProcessEnv,
  args: readonly string[] = ["run"],
): Promise<WorkerProcess> {
  // The program's working directory is an empty folder: it depends on no file around it.
  const place = await Throwaway.create({ name: "run-watchdog-worker", stopSignal: "TERM" });
  const child = spawn(process.execPath, [inject("program"), ...args], {
    cwd: place.folder,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  place.watch(child);
  try {
    await once(child, "spawn");
  } catch (error) {
    await place.dispose();
    throw error;
  }
  return new Worker(child, place);
}

/** Runs a command that ends by itself, such as `["once", "--output", "json"]`. */
export async function runOnce(
  env: ProcessEnv,
  args: readonly string[],
): Promise<Exit & { readonly stdout: string; readonly stderr: string }> {
  await using worker = await startWorker(env, args);
  const giveUp = new AbortController();
  const late = sleep(EXIT_WITHIN_MS, null, { signal: giveUp.signal }).catch(() => null);
  const exit = await Promise.race([worker.exited, late]);
  giveUp.abort();
  if (exit === null) {
    throw new Error(`still running after ${EXIT_WITHIN_MS} ms: ${args.join(" ")}`);
  }
  return { ...exit, stdout: worker.stdout(), stderr: worker.stderr() };
}

class Worker implements WorkerProcess {
  readonly pid: number;
  readonly logs: LogLine[] = [];
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #place: Throwaway;
  readonly #text = { stdout: "", stderr: "" };
  #ended = false;
  #news = Promise.withResolvers<void>();

  constructor(child: ChildProcess, place: Throwaway) {
    this.#child = child;
    this.#place = place;
    // It has been spawned, so it has one.
    this.pid = child.pid ?? 0;
    this.#listen("stdout");
    this.#listen("stderr");
    this.exited = once(child, "close").then(([code, signal]): Exit => {
      this.#ended = true;
      this.#tell();
      return { code, signal };
    });
  }

  stdout(): string {
    return this.#text.stdout;
  }

  stderr(): string {
    return this.#text.stderr;
  }

  async waitForLog(
    wanted: string | ((line: LogLine) => boolean),
    { since = 0, withinMs = LOG_WITHIN_MS }: WaitOptions = {},
  ): Promise<LogLine> {
    const matches = typeof wanted === "string" ? (line: LogLine) => line.msg === wanted : wanted;
    const giveUp = new AbortController();
    const late = sleep(withinMs, "late", { signal: giveUp.signal }).catch(() => "late");
    try {
      for (let index = since; ; ) {
        for (; index < this.logs.length; index += 1) {
          const line = this.logs[index];
          if (line !== undefined && matches(line)) return line;
        }
        if (this.#ended) throw this.#missing(wanted, "the process has ended");
        const news = this.#news.promise;
        if ((await Promise.race([news, late])) === "late") {
          throw this.#missing(wanted, `nothing within ${withinMs} ms`);
        }
      }
    } finally {
      giveUp.abort();
    }
  }

  async healthUrl(): Promise<string> {
    const { url } = await this.waitForLog("health endpoint is up");
    return String(url);
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.kill("SIGKILL");
    await this.exited;
    await this.#place.dispose();
  }

  #listen(name: "stdout" | "stderr"): void {
    const stream = this.#child[name];
    if (stream === null) return;
    stream.setEncoding("utf8").on("data", (text: string) => {
      this.#text[name] += text;
    });
    createInterface({ input: stream }).on("line", (line) => {
      const parsed = asLogLine(line);
      if (parsed === null) return;
      this.logs.push(parsed);
      this.#tell();
    });
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  #missing(wanted: unknown, why: string): Error {
    const what = typeof wanted === "string" ? `"${wanted}"` : String(wanted);
    const said = `${this.stdout()}${this.stderr()}`.slice(-4000);
    return new Error(`no log line ${what}: ${why}. It said:\n${said}`);
  }
}

function asLogLine(text: string): LogLine | null {
  if (!text.startsWith("{")) return null;
  try {
    const line: LogLine = JSON.parse(text);
    return typeof line.level === "string" && typeof line.msg === "string" ? line : null;
  } catch {
    return null;
  }
}

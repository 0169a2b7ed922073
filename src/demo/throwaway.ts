/**
 * A folder and a server process that do not outlive us.
 *
 * A small shell waits on a pipe that only we hold open. Whatever ends us, SIGKILL included, closes the pipe; the shell
 * then ends the server it was told about and removes the folder. An orderly `dispose` takes the same way.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmod, chown, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface ThrowawayOptions {
  /** Starts the name of the folder. */
  readonly name: string;
  /** Where the folder is made; default: the system's temporary folder. */
  readonly parent?: string;
  /** Who owns the folder and runs the server, when that is not us. */
  readonly account?: Account | null;
  /** What ends the server when we are gone, without the SIG. */
  readonly stopSignal: "TERM" | "INT" | "QUIT";
}

// After the signal the server gets ten seconds, then SIGKILL. A server that ended by itself leaves an empty line behind.
const SCRIPT = `
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
  kill -s "$2" "$pid"
  left=100
  while kill -0 "$pid" && [ "$left" -gt 0 ]; do sleep 0.1; left=$((left - 1)); done
  kill -s KILL "$pid"
fi 2>/dev/null
rm -rf "$1"
`;

export class Throwaway {
  readonly folder: string;
  readonly #guard: ChildProcess;
  readonly #guardGone: Promise<void>;

  private constructor(folder: string, guard: ChildProcess) {
    this.folder = folder;
    this.#guard = guard;
    this.#guardGone = new Promise((resolve) => guard.once("close", () => resolve()));
  }

  static async create(options: ThrowawayOptions): Promise<Throwaway> {
    const folder = await mkdtemp(join(options.parent ?? tmpdir(), `${options.name}-`));
    if (options.account) await chown(folder, options.account.uid, options.account.gid);
    await chmod(folder, 0o755);
    // A session of its own: Ctrl-C in a terminal reaches every process of the foreground group.
    const guard = spawn("/bin/sh", ["-c", SCRIPT, "sh", folder, options.stopSignal], {
      cwd: "/",
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      ...options.account,
    });
    await new Promise((resolve, reject) => guard.once("spawn", resolve).once("error", reject));
    guard.stdin?.on("error", () => undefined);
    return new Throwaway(folder, guard);
  }

  /** Puts a server under the guard until it exits. */
  watch(server: ChildProcess): void {
    if (server.pid === undefined) return;
    this.#guard.stdin?.write(`${server.pid}\n`);
    server.once("exit", () => {
      if (this.#guard.stdin?.writable) this.#guard.stdin.write("\n");
    });
  }

  /** Ends the server if it still runs and removes the folder. Safe to call again. */
  async dispose(): Promise<void> {
    this.#guard.stdin?.end();
    await this.#guardGone;
  }
}

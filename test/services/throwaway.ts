/**
 * A folder and processes that do not outlive us.
 *
 * A small shell waits on a pipe that only we hold open. Whatever ends us, SIGKILL included, closes the pipe; the shell
 * then ends the processes it was told about and removes the folder. An orderly `dispose` takes the same way.
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
  /**
   * Who owns the folder and runs the processes, when that is not us. The guard is ours all the same: the account may not
   * be allowed to take the folder out of its parent.
   */
  readonly account?: Account | null;
  /** What ends the processes when we are gone, without the SIG. */
  readonly stopSignal: "TERM" | "INT" | "QUIT";
}

// Lines are `+ pid` and `- pid`. After the signal all of them together get ten seconds, then SIGKILL.
const SCRIPT = `
pids=
while read -r sign pid; do
  rest=
  for known in $pids; do [ "$known" = "$pid" ] || rest="$rest $known"; done
  pids=$rest
  [ "$sign" = + ] && pids="$pids $pid"
done
{
  for pid in $pids; do kill -s "$2" "$pid"; done
  left=100
  for pid in $pids; do
    while kill -0 "$pid" && [ "$left" -gt 0 ]; do sleep 0.1; left=$((left - 1)); done
    kill -s KILL "$pid"
  done
} 2>/dev/null
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
    });
    await new Promise((resolve, reject) => guard.once("spawn", resolve).once("error", reject));
    guard.stdin?.on("error", () => undefined);
    return new Throwaway(folder, guard);
  }

  /** Puts a process under the guard until it exits. */
  watch(child: ChildProcess): void {
    const { pid } = child;
    if (pid === undefined) return;
    this.#guard.stdin?.write(`+ ${pid}\n`);
    child.once("exit", () => {
      if (this.#guard.stdin?.writable) this.#guard.stdin.write(`- ${pid}\n`);
    });
  }

  /** Ends the processes that still run and removes the folder. Safe to call again. */
  async dispose(): Promise<void> {
    this.#guard.stdin?.end();
    await this.#guardGone;
  }
}

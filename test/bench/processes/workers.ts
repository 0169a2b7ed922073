import { type Daemon, startDaemon } from "./daemon.ts";

/** Daemons with the same settings, to be killed by their process ids. */
export class Workers implements AsyncDisposable {
  readonly #env: Readonly<Record<string, string>>;
  readonly #daemons = new Map<number, Daemon>();

  constructor(env: Readonly<Record<string, string>>) {
    this.#env = env;
  }

  async add(): Promise<void> {
    const daemon = await startDaemon(this.#env);
    this.#daemons.set(daemon.pid, daemon);
  }

  /** One that has met the lease of another one and waits for it; `null` while there is none. */
  async standby(): Promise<number | null> {
    for (const [pid, daemon] of this.#daemons) if ((await daemon.role()) === "standby") return pid;
    return null;
  }

  async kill(pid: number): Promise<void> {
    const daemon = this.#daemons.get(pid);
    if (daemon === undefined) throw new Error(`the worker with process id ${pid} is none of ours`);
    this.#daemons.delete(pid);
    await daemon.kill();
    await daemon[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#daemons.values()].map((daemon) => daemon[Symbol.asyncDispose]()));
  }
}

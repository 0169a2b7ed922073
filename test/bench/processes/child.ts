/** A script of the bench in a process of its own: one JSON argument in, JSON lines out, gone when its stdin ends. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";

export interface ChildScript extends AsyncDisposable {
  readonly pid: number;
  /** The next line that it prints. */
  read<T>(): Promise<T>;
}

export function startScript(name: string, argument: object): ChildScript {
  const args = [join(import.meta.dirname, name), JSON.stringify(argument)];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid ?? 0,
    async read() {
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`${name} ended without an answer`);
      return JSON.parse(value);
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exited;
    },
  };
}

/** For such a script: what it was given. */
export function argumentOf<T>(): T {
  return JSON.parse(process.argv[2] ?? "{}");
}

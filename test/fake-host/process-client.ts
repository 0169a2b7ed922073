/** Starts a fake host as a process of its own and talks to it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import type { HostMessage } from "./process.ts";
import type { Traffic } from "./traffic.ts";

export interface HostProcess extends AsyncDisposable {
  readonly url: string;
  readonly serviceKey: string;
  /** @returns what it was asked so far. */
  send(message: HostMessage): Promise<ReturnType<Traffic["toJSON"]>>;
}

export async function startHostProcess(): Promise<HostProcess> {
  const main = join(import.meta.dirname, "process.ts");
  const child = spawn(process.execPath, [main], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async () => JSON.parse((await answers.next()).value ?? "{}");
  const { url, serviceKey } = await read();
  return {
    url,
    serviceKey,
    send(message) {
      child.stdin.write(`${JSON.stringify(message)}\n`);
      return read();
    },
    async [Symbol.asyncDispose]() {
      const exited = once(child, "exit");
      child.stdin.end();
      const [exitCode] = await exited;
      if (exitCode !== 0) throw new Error(`the fake host ended with exit code ${exitCode}`);
    },
  };
}

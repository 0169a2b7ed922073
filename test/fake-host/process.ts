/**
 * A fake host in a process of its own. One JSON message a line on stdin, one answer a line on stdout; the end of stdin
 * ends it. The first line it prints holds `url` and `serviceKey`.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { startFakeHost } from "./fake-host.ts";
import type { Sandbox } from "./model.ts";

export type HostMessage =
  | { readonly add: readonly Partial<Sandbox>[] }
  | { readonly latencyMs: number }
  | { readonly traffic: true };

await main();

async function main(): Promise<void> {
  await using host = await startFakeHost({ keepRequests: 0 });
  print({ url: host.url, serviceKey: host.serviceKey });
  for await (const line of createInterface({ input: process.stdin })) {
    const message: HostMessage = JSON.parse(line);
    if ("add" in message) for (const sandbox of message.add) host.addSandbox(sandbox);
    else if ("latencyMs" in message) host.latencyMs = message.latencyMs;
    print(host.traffic);
  }
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

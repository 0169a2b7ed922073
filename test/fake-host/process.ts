/**
 * A fake host in a process of its own. One JSON message a line on stdin, one answer a line on stdout; the end of stdin
 * ends it. The first line it prints holds `url` and `serviceKey`.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { type FakeHost, startFakeHost } from "./fake-host.ts";
import type { RequestKind, Sandbox } from "./model.ts";

export type HostMessage =
  | { readonly add: readonly Partial<Sandbox>[] }
  | { readonly latencyMs: number; readonly of?: RequestKind }
  | { readonly traffic: true };

await main();

async function main(): Promise<void> {
  await using host = await startFakeHost({ keepRequests: 0 });
  print({ url: host.url, serviceKey: host.serviceKey });
  for await (const line of createInterface({ input: process.stdin })) {
    const message: HostMessage = JSON.parse(line);
    if ("add" in message) for (const sandbox of message.add) host.addSandbox(sandbox);
    else if ("latencyMs" in message) delay(host, message.latencyMs, message.of);
    print(host.traffic);
  }
}

/** Of one kind of questions alone, beside what all of them take. */
function delay(host: FakeHost, ms: number, of?: RequestKind): void {
  if (of === undefined) {
    host.latencyMs = ms;
    return;
  }
  host.intercept(async ({ kind }) => {
    if (kind === of) await sleep(ms);
    return undefined;
  });
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

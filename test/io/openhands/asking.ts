/** Single requests of the HTTP client, for its tests. */
import { setTimeout } from "node:timers/promises";
import type { Answer } from "../../../src/io/http/answer.ts";
import { CallBudget, type HttpCall } from "../../../src/io/http/call.ts";
import type { HttpClient } from "../../../src/io/http/client.ts";
import { type Handler, startHttpServer } from "../../services/http-server.ts";
import { calm, openClient } from "../http/world.ts";

export interface Ask {
  readonly path?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly call?: Partial<HttpCall>;
}

export async function ask(http: HttpClient, origin: string, options: Ask = {}): Promise<Answer> {
  const call: HttpCall = {
    source: "agent_server",
    operation: "bash_events_search",
    method: "GET",
    url: new URL(options.path ?? "/", origin),
    headers: { "x-session-api-key": "s3cret" },
    expects: "json",
    guarded: false,
    ...options.call,
  };
  const budget = new CallBudget(options.timeoutMs ?? 30_000);
  return await http.request(call, budget, options.signal ?? calm());
}

/** One server, one client, one answer. */
export async function askOnce(handler: Handler, options: Ask = {}, limits = {}): Promise<Answer> {
  await using server = await startHttpServer(handler);
  await using client = openClient({ limits });
  return await ask(client.http, server.origin, options);
}

export function message(answer: Answer): string | null {
  return answer.kind === "unreachable" || answer.kind === "malformed"
    ? `${answer.kind}: ${answer.failure.message}`
    : null;
}

/** Longer than look-ups wait for others. Timers end in their order, so those that waited before have been sent then. */
const GATHERED_MS = 30;

/** Some round trips on connections of their own: what was sent before has arrived by then. */
export async function settleTraffic(): Promise<void> {
  await setTimeout(GATHERED_MS);
  await using server = await startHttpServer((_, response) => response.end("1"));
  await using client = openClient();
  for (let round = 0; round < 3; round += 1) await ask(client.http, server.origin);
}

import { lookup } from "node:dns";
import type { ServerAnswer } from "../../rules/doctor/backend.ts";
import type { ProxySettings } from "../../rules/network/no-proxy.ts";
import type { Clock } from "../../watchdog/ports.ts";
import { errorCode, timedOut, transportFailed } from "./answer.ts";
import type { CallName } from "./call.ts";
import { DeadlineError, withDeadline } from "./deadline.ts";
import { Routes } from "./dispatcher.ts";
import { exchange, type ReadAnswer } from "./exchange.ts";
import { DATE_PRECISION_MS, dateOf, discardBody, header } from "./response.ts";

export interface ProbeOptions {
  readonly proxy: ProxySettings | null;
  readonly clock: Clock;
  readonly withinMs: number;
}

const MOST_BYTES = 1024 * 1024;

/**
 * One GET without any credential, over the route that the worker's calls take: whether somebody answers there, who it
 * looks like, and what time it is for him. Rejects with `signal.reason` and nothing else.
 */
export async function probeServer(
  call: CallName & { readonly url: URL },
  { proxy, clock, withinMs }: ProbeOptions,
  signal: AbortSignal,
): Promise<ServerAnswer> {
  const wire = { maxBytes: MOST_BYTES, onReceived: () => {} };
  const routes = new Routes({ proxy, lookup, connectTimeoutMs: withinMs, wire });
  try {
    const work = (own: AbortSignal) => ask(call.url, routes, clock, own);
    return await withDeadline(work, withinMs, clock, signal);
  } catch (error) {
    signal.throwIfAborted();
    const late = error instanceof DeadlineError;
    const { failure } = late
      ? timedOut(call, "answer", withinMs)
      : transportFailed(call, errorCode(error));
    return { kind: "failed", failure };
  } finally {
    await routes.destroy();
  }
}

function ask(url: URL, routes: Routes, clock: Clock, signal: AbortSignal): Promise<ServerAnswer> {
  const sentMs = clock.now().getTime();
  const request = {
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    method: "GET",
    headers: { accept: "application/json", "user-agent": "run-watchdog" },
  } as const;
  const read: ReadAnswer<ServerAnswer> = (status, headers, settle) => {
    const receivedMs = clock.now().getTime();
    const theirMs = dateOf(headers);
    const type = header(headers, "content-type") ?? "";
    const reading = { theirMs: theirMs ?? 0, sentMs, receivedMs, precisionMs: DATE_PRECISION_MS };
    const answer: ServerAnswer = {
      kind: "answered",
      status,
      isHtml: /^\s*text\/html/i.test(type),
      clock: theirMs === null ? null : reading,
    };
    return discardBody(() => settle(answer));
  };
  return exchange(routes.to(url, false), { request, read }, signal);
}

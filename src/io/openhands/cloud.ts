/**
 * Verifying a run in OpenHands' cloud takes three steps: a key for its user, the sandbox's record, and the sandbox's own
 * agent server, which knows the exit code.
 *
 * Either key can be rejected for reasons that have nothing to do with the run (rotated on resume, an outage of the auth
 * layer), so each is fetched anew once, and after that the answer is "cannot tell".
 */
import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import type { Evidence, RunSnapshot } from "../../rules/model.ts";
import { bareHost, isLoopbackHost } from "../../rules/network/addresses.ts";
import type { Backend } from "../../watchdog/ports.ts";
import { malformed } from "../http/answer.ts";
import { CallBudget, type HttpCall, isHeaderToken } from "../http/call.ts";
import { BASH_SEARCH, type BashSearch } from "./bash-events.ts";
import { askForCommandStatus } from "./command-status.ts";
import { SandboxApi, type SandboxApiOptions } from "./sandbox-api.ts";
import type { SandboxAnswer } from "./sandbox-record.ts";

export interface OpenHandsCloudOptions extends SandboxApiOptions {
  /** Host suffixes that agent servers may have; empty for any. */
  readonly agentHosts: readonly string[];
  readonly agentSlots: AgentSlots;
}

/** Limits how many agent servers are asked at once: a run waits there once its sandbox is known. */
export interface AgentSlots {
  /** @throws what `work` throws, or `signal.reason` while it waits. */
  run<T>(party: number, work: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

export function openHandsCloudBackend(options: OpenHandsCloudOptions): Backend {
  const api = new SandboxApi(options);
  // When the API is on this host, its sandboxes are too.
  const guarded = !isLoopbackHost(new URL(options.baseUrl));
  return {
    name: "openhands-cloud",
    api: api.gate,
    share: (held, count) => api.gate.share(held, count),
    needs: ["sandboxId"],
    cleans: true,
    verify: (run, signal) => verify({ ...options, api, guarded }, run, signal),
    cleanup: (target, signal) => api.delete(target, signal),
    pause: (target, signal) => api.pause(target, signal),
  };
}

interface Deps
  extends Pick<OpenHandsCloudOptions, "http" | "agentHosts" | "agentSlots" | "verifyTimeoutMs"> {
  readonly api: SandboxApi;
  /** Whether agent servers' addresses are checked. */
  readonly guarded: boolean;
}

type Found = Extract<SandboxAnswer, { kind: "up" }>;

async function verify(deps: Deps, run: RunSnapshot, signal: AbortSignal): Promise<Evidence> {
  signal.throwIfAborted();
  const { sandboxId, bashCommandId } = run;
  if (!sandboxId) return { kind: "gone", reason: "no-sandbox-id" };
  const budget = new CallBudget(deps.verifyTimeoutMs);
  const session = deps.api.session(run, budget);
  const found = await deps.api.lookup(session, sandboxId, signal);
  if (found.kind !== "up") return found;
  if (!bashCommandId) return { kind: "no-command", sandbox: "running" };

  const send = (call: HttpCall) => deps.http.request(call, budget, signal);
  const ask = (search: BashSearch) =>
    deps.agentSlots.run(ALL, () => askForCommandStatus(send, search), signal);
  const search = searchOf(deps, found, bashCommandId);
  if (search.kind !== "search") return search;
  const answer = await ask(search);
  if (!answer.unauthorized) return answer.evidence;

  const foundAgain = await deps.api.lookup(session, sandboxId, signal);
  if (foundAgain.kind !== "up") return foundAgain;
  if (isSameServer(found, foundAgain)) return answer.evidence;
  const newSearch = searchOf(deps, foundAgain, bashCommandId);
  if (newSearch.kind !== "search") return newSearch;
  return (await ask(newSearch)).evidence;
}

/** The only party there is: shards share the runs in hand already. */
const ALL = 0;

function searchOf(
  { agentHosts, guarded }: Deps,
  found: Found,
  commandId: string,
): ({ readonly kind: "search" } & BashSearch) | Evidence {
  const { agentUrl: text, sessionKey } = found;
  if (sessionKey === null || !isHeaderToken(sessionKey)) {
    return malformed(BASH_SEARCH, "was not sent: the sandbox has no usable session key");
  }
  const agentUrl = parseAgentUrl(text, agentHosts);
  if (agentUrl === null) {
    return malformed(BASH_SEARCH, "was not sent: the sandbox's agent server url is not allowed");
  }
  return { kind: "search", agentUrl, sessionKey, commandId, guarded };
}

function isSameServer(a: Found, b: Found): boolean {
  return a.agentUrl === b.agentUrl && a.sessionKey === b.sessionKey;
}

/**
 * The agent server's URL, or `null` when the session key must not be sent there.
 *
 * `hosts` are suffixes on label boundaries; an empty list allows every host. Addresses are checked by the call itself.
 */
export function parseAgentUrl(text: string, hosts: readonly string[]): URL | null {
  const url = URL.parse(text);
  if (url?.protocol !== "http:" && url?.protocol !== "https:") return null;
  if (url.username !== "" || url.password !== "") return null;
  const host = bareHost(url);
  return hosts.length === 0 || hosts.some((suffix) => isBelow(host, suffix)) ? url : null;
}

/** `runtime.example` allows itself and `a.runtime.example`, not `badruntime.example`. Addresses match as a whole. */
function isBelow(host: string, suffix: string): boolean {
  const name = suffix
    .trim()
    .replace(/^\*?\./, "")
    .replace(/\.$/, "");
  if (name === "") return false;
  if (isIP(name) !== 0 || isIP(host) !== 0) return host === name;
  const ascii = domainToASCII(name);
  return host === ascii || host.endsWith(`.${ascii}`);
}

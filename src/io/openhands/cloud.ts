/**
 * A run's truth in OpenHands' cloud takes three steps: a key for its user, the sandbox's record, and the sandbox's own
 * agent server, which knows the exit code.
 *
 * Either key can be rejected for reasons that have nothing to do with the run (rotated on resume, an outage of the auth
 * layer), so each is fetched anew once, and after that the answer is "cannot tell".
 */
import type { Evidence, RunSnapshot } from "../../rules/model.ts";
import type {
  Backend,
  CleanupResult,
  CleanupTarget,
  Clock,
  PauseResult,
} from "../../watchdog/ports.ts";
import { isLoopbackHost } from "../http/address-guard.ts";
import { CallBudget } from "../http/call-budget.ts";
import { type HttpClient, isHeaderToken } from "../http/client.ts";
import { malformed } from "../http/failure.ts";
import type { Secret } from "../http/secret.ts";
import { parseAgentUrl } from "./agent-url.ts";
import { BASH_SEARCH, type BashSearch } from "./bash-events.ts";
import { askForCommandStatus } from "./command-status.ts";
import { gone, type SandboxAnswer } from "./sandbox-answer.ts";
import { SandboxApi } from "./sandbox-api.ts";

export interface OpenHandsCloudOptions {
  readonly http: HttpClient;
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  readonly baseUrl: string;
  readonly serviceKey: Secret<string>;
  /** Calls to the app server at once, over all runs and clean-ups. */
  readonly apiConcurrency: number;
  /** Time in calls that one verification, clean-up or key minting may take. */
  readonly verifyTimeoutMs: number;
  /** Host suffixes that agent servers may have; empty for any. */
  readonly agentHosts: readonly string[];
}

export function openHandsCloudBackend(options: OpenHandsCloudOptions): Backend {
  const baseUrl = new URL(options.baseUrl);
  const api = new SandboxApi({ ...options, baseUrl, mintTimeoutMs: options.verifyTimeoutMs });
  // With the API on this very host, its sandboxes are here as well.
  const guarded = !isLoopbackHost(baseUrl);
  const deps = { ...options, api, guarded };
  return {
    name: "openhands-cloud",
    api: api.gate,
    needs: ["sandboxId"],
    cleans: true,
    verify: (run, signal) => verify(deps, run, signal),
    cleanup: (target, signal) => cleanup(deps, target, signal),
    pause: (target, signal) => pause(deps, target, signal),
  };
}

interface Deps extends Pick<OpenHandsCloudOptions, "http" | "agentHosts" | "verifyTimeoutMs"> {
  readonly api: SandboxApi;
  /** Whether agent servers' addresses are checked. */
  readonly guarded: boolean;
}

type Found = Extract<SandboxAnswer, { kind: "up" }>;

async function verify(deps: Deps, run: RunSnapshot, signal: AbortSignal): Promise<Evidence> {
  signal.throwIfAborted();
  const { sandboxId, bashCommandId } = run;
  if (!sandboxId) return gone("no-sandbox-id", "No sandbox_id available for verification");
  const budget = new CallBudget(deps.verifyTimeoutMs);
  const session = deps.api.session(run, budget);
  const found = await deps.api.lookup(session, sandboxId, signal);
  if (found.kind !== "up") return found;
  if (!bashCommandId) return { kind: "no-command", sandbox: "running" };

  const ask = (search: BashSearch) => askForCommandStatus(deps.http, search, budget, signal);
  const search = searchOf(deps, found, bashCommandId);
  if (search.kind !== "search") return search;
  const answer = await ask(search);
  if (!answer.unauthorized) return answer.evidence;

  const foundAgain = await deps.api.lookup(session, sandboxId, signal);
  if (foundAgain.kind !== "up") return foundAgain;
  if (isSameServer(found, foundAgain)) return answer.evidence;
  const newSearch = searchOf(deps, foundAgain, bashCommandId);
  return newSearch.kind === "search" ? (await ask(newSearch)).evidence : newSearch;
}

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

async function cleanup(
  deps: Deps,
  target: CleanupTarget,
  signal: AbortSignal,
): Promise<CleanupResult> {
  signal.throwIfAborted();
  const session = deps.api.session(target, new CallBudget(deps.verifyTimeoutMs));
  return await deps.api.delete(session, target.sandboxId, signal);
}

async function pause(deps: Deps, target: CleanupTarget, signal: AbortSignal): Promise<PauseResult> {
  signal.throwIfAborted();
  const session = deps.api.session(target, new CallBudget(deps.verifyTimeoutMs));
  return await deps.api.pause(session, target.sandboxId, signal);
}

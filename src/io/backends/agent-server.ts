/** One agent server shared by all runs, as in local installations: no keys to mint, no sandboxes to delete. */
import type { Evidence, RunSnapshot } from "../../rules/model.ts";
import type { Backend } from "../../watchdog/ports.ts";
import { searchBashOutput } from "./bash-events.ts";
import { CallBudget } from "./call-budget.ts";
import type { HttpClient } from "./http-client.ts";

export interface AgentServerOptions {
  readonly http: HttpClient;
  readonly baseUrl: string;
  /** `null`: the server asks for none. */
  readonly apiKey: string | null;
  /** Time in calls that one verification may take. */
  readonly verifyTimeoutMs: number;
}

export function agentServerBackend(options: AgentServerOptions): Backend {
  const agentUrl = new URL(options.baseUrl);
  return {
    name: "agent-server",
    cleans: false,
    verify: (run, signal) => verify(options, agentUrl, run, signal),
    cleanup: async () => ({
      kind: "failed",
      failure: "agent_server has no sandboxes to delete",
      retryAfterMs: null,
    }),
  };
}

async function verify(
  options: AgentServerOptions,
  agentUrl: URL,
  run: RunSnapshot,
  signal: AbortSignal,
): Promise<Evidence> {
  signal.throwIfAborted();
  const { bashCommandId: commandId } = run;
  if (!commandId) return { kind: "no-command" };
  // The operator chose this address, so it may well be this host's.
  const search = { agentUrl, sessionKey: options.apiKey, commandId, guarded: false };
  const budget = new CallBudget(options.verifyTimeoutMs);
  const { evidence } = await searchBashOutput(options.http, search, budget, signal);
  return evidence;
}

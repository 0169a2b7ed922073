/**
 * One agent server shared by all runs, as in local installations: no keys to mint, no sandboxes to delete.
 *
 * Commands outlive this server: their process groups go on when it restarts, and what it has forgotten may still call
 * back. So its age and its memory prove nothing, and it is not asked for them: without an exit code a run is running
 * until its hard deadline.
 */
import type { Backend } from "../../watchdog/ports.ts";
import { ApiGate, type ApiGateOptions } from "../api-gate/gate.ts";
import { CallBudget, type HttpCall, type Secret, withSecret } from "../http/call.ts";
import { BASH_SEARCH, searchBashOutput } from "./bash-events.ts";

export interface AgentServerOptions extends Omit<ApiGateOptions, "main"> {
  readonly baseUrl: string;
  /** `null`: the server asks for none. */
  readonly apiKey: Secret<string | null>;
  /** Time in calls that one verification may take. */
  readonly verifyTimeoutMs: number;
}

export function agentServerBackend(options: AgentServerOptions): Backend {
  const agentUrl = new URL(options.baseUrl);
  const gate = new ApiGate({ ...options, main: BASH_SEARCH });
  return {
    name: "agent-server",
    api: gate,
    needs: ["bashCommandId"],
    cleans: false,
    async verify(run, signal) {
      signal.throwIfAborted();
      const { bashCommandId: commandId } = run;
      if (!commandId) return { kind: "no-command", sandbox: "not-asked" };
      // The operator chose this address, so it may well be this host's.
      const search = { agentUrl, commandId, guarded: false };
      const budget = new CallBudget(options.verifyTimeoutMs);
      const send = (call: HttpCall) => gate.request(call, budget, signal);
      const { evidence, unauthorized } = await withSecret(
        options.apiKey,
        (sessionKey) => searchBashOutput(send, { ...search, sessionKey }),
        (answer) => answer.unauthorized,
      );
      if (unauthorized) gate.unauthorized(BASH_SEARCH, run);
      return evidence;
    },
    cleanup: async () => ({
      kind: "failed",
      failure: "agent_server has no sandboxes to delete",
      retryAfterMs: null,
    }),
  };
}

/** What a look-up of one sandbox says about it. */
import { z } from "zod";
import type { Evidence, GoneReason } from "../../rules/model.ts";
import { type CallName, malformed } from "../http/failure.ts";

/** `up`: running, with an agent server to ask. Otherwise the look-up itself is the evidence. */
export type SandboxAnswer =
  | { readonly kind: "up"; readonly agentUrl: string; readonly sessionKey: string | null }
  | Evidence;

export const SANDBOX_LOOKUP: CallName = { source: "sandbox_api", operation: "get_sandbox" };

/** The app server answers in the order of the ids asked for, with `null` for those it does not know. */
const answerShape = z.array(z.unknown()).max(1).nullable();

const sandboxShape = z.object({
  id: z.string().nullish(),
  status: z.string(),
  session_api_key: z.string().nullish(),
  exposed_urls: z
    .array(z.object({ name: z.string().nullish(), url: z.string().nullish() }).nullable())
    .nullish(),
});

export function readSandbox(body: unknown, sandboxId: string): SandboxAnswer {
  const answer = answerShape.safeParse(body);
  if (!answer.success) return unexpected();
  const record = answer.data?.[0] ?? null;
  if (record === null) return gone("no-record");
  const sandbox = sandboxShape.safeParse(record);
  if (!sandbox.success) return unexpected();
  const { id, status } = sandbox.data;
  if (typeof id === "string" && id !== sandboxId) {
    return malformed(SANDBOX_LOOKUP, "answered about another sandbox");
  }
  return status === "RUNNING" ? readRunning(sandbox.data) : readOther(status);
}

export function gone(reason: GoneReason): Evidence {
  return { kind: "gone", reason };
}

function readRunning(sandbox: z.infer<typeof sandboxShape>): SandboxAnswer {
  const agent = sandbox.exposed_urls?.find((exposed) => exposed?.name === "AGENT_SERVER");
  if (!agent?.url) return gone("no-agent-server");
  return { kind: "up", agentUrl: agent.url, sessionKey: sandbox.session_api_key ?? null };
}

function readOther(status: string): Evidence {
  switch (status) {
    case "STARTING":
      return { kind: "starting" };
    case "MISSING":
      return gone("missing");
    case "PAUSED":
      return gone("paused");
    case "ERROR":
      return gone("error");
    default:
      return malformed(SANDBOX_LOOKUP, "answered with an unknown sandbox status");
  }
}

function unexpected(): Evidence {
  return malformed(SANDBOX_LOOKUP, "answered with an unexpected shape");
}

/** What the app server says about a sandbox. */
import { z } from "zod";
import type { Evidence } from "../../rules/model.ts";
import { malformed } from "../http/answer.ts";
import type { CallName } from "../http/call.ts";

export const SANDBOX_LOOKUP: CallName = { source: "sandbox_api", operation: "get_sandbox" };

/** `up`: running, with an agent server to ask. Otherwise the look-up itself is the evidence. */
export type SandboxAnswer =
  | { readonly kind: "up"; readonly agentUrl: string; readonly sessionKey: string | null }
  | Evidence;

const urlShape = z.object({ name: z.string().nullish(), url: z.string().nullish() });
const sandboxShape = z.object({
  id: z.string().nullish(),
  status: z.string(),
  session_api_key: z.string().nullish(),
  exposed_urls: z.array(urlShape.nullable()).nullish(),
});
/** The app server answers in the order of the ids asked for, with `null` for those it does not know. */
const answerShape = z.array(sandboxShape.nullable()).max(1).nullable();

/** @param body the answer to a question about this one sandbox. */
export function readSandbox(body: unknown, sandboxId: string): SandboxAnswer {
  const answer = answerShape.safeParse(body);
  if (!answer.success) return malformed(SANDBOX_LOOKUP, "answered with an unexpected shape");
  const sandbox = answer.data?.[0] ?? null;
  if (sandbox === null) return { kind: "gone", reason: "no-record" };
  const { id, status, session_api_key: sessionKey = null, exposed_urls: exposed } = sandbox;
  if (typeof id === "string" && id !== sandboxId) {
    return malformed(SANDBOX_LOOKUP, "answered about another sandbox");
  }
  if (status !== "RUNNING") return readOther(status);
  const agentUrl = exposed?.find((each) => each?.name === "AGENT_SERVER")?.url;
  return agentUrl
    ? { kind: "up", agentUrl, sessionKey }
    : { kind: "gone", reason: "no-agent-server" };
}

function readOther(status: string): Evidence {
  switch (status) {
    case "STARTING":
      return { kind: "starting" };
    case "MISSING":
      return { kind: "gone", reason: "missing" };
    case "PAUSED":
      return { kind: "gone", reason: "paused" };
    case "ERROR":
      return { kind: "gone", reason: "error" };
    default:
      return malformed(SANDBOX_LOOKUP, "answered with an unknown sandbox status");
  }
}

/**
 * What an answer about several sandboxes says for certain, by their ids. A record speaks for the sandbox that it names. A
 * `null` names none: it counts only where every entry stands in its place. MISSING is left out: the app server also says it of
 * a sandbox that its own answer about several did not list.
 *
 * @param ids no two of them equal.
 */
export function readBatch(body: unknown, ids: readonly string[]): ReadonlyMap<string, unknown> {
  const said = new Map<string, unknown>();
  if (!Array.isArray(body)) return said;
  const entries: readonly unknown[] = body;
  const names = entries.map(nameIn);
  const inPlace =
    entries.length === ids.length &&
    entries.every((entry, index) => entry === null || names[index] === ids[index]);
  for (const [index, id] of ids.entries()) {
    const at = inPlace ? index : onlyIndexOf(names, id);
    if (at === null) continue;
    const entry = entries[at];
    if (isCertain(readSandbox([entry], id))) said.set(id, entry);
  }
  return said;
}

function nameIn(entry: unknown): string | null {
  if (typeof entry !== "object" || entry === null || !("id" in entry)) return null;
  return typeof entry.id === "string" ? entry.id : null;
}

function onlyIndexOf(names: readonly (string | null)[], id: string): number | null {
  const index = names.indexOf(id);
  return index >= 0 && index === names.lastIndexOf(id) ? index : null;
}

function isCertain(answer: SandboxAnswer): boolean {
  if (answer.kind === "gone") return answer.reason !== "missing";
  return answer.kind !== "malformed";
}

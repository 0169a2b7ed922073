/**
 * Asks an agent server for the newest output of one command. The search is always scoped by the command's id, and the
 * answer must be about it: the same server runs other commands, whose exit codes prove nothing about the run.
 *
 * No output yet is the normal sign of a running command: output is stored per MiB and at the exit.
 */
import { z } from "zod";
import type { Evidence } from "../../rules/model.ts";
import type { CallBudget } from "./call-budget.ts";
import { type CallName, isUnauthorised, malformed } from "./failure.ts";
import { cannotTell, type HttpClient } from "./http-client.ts";
import { textTail } from "./text-tail.ts";
import { urlBelow } from "./url.ts";

export interface BashSearch {
  readonly agentUrl: URL;
  /** `null`: the server asks for none. */
  readonly sessionKey: string | null;
  readonly commandId: string;
  readonly guarded: boolean;
}

export interface BashAnswer {
  readonly evidence: Evidence;
  /** The server refused the key; a newer one may help. */
  readonly unauthorised: boolean;
}

export const BASH_SEARCH: CallName = { source: "agent_server", operation: "bash_events_search" };

const searchShape = z.object({ items: z.array(z.unknown()).max(1) });

const outputShape = z.object({
  kind: z.literal("BashOutput"),
  command_id: z.string(),
  exit_code: z.int32().nullable(),
  stdout: z.string().nullish(),
  stderr: z.string().nullish(),
});

export async function searchBashOutput(
  http: HttpClient,
  search: BashSearch,
  budget: CallBudget,
  signal: AbortSignal,
): Promise<BashAnswer> {
  const url = urlBelow(search.agentUrl, "/api/bash/bash_events/search", {
    kind__eq: "BashOutput",
    command_id__eq: search.commandId,
    sort_order: "TIMESTAMP_DESC",
    limit: "1",
  });
  const headers = search.sessionKey === null ? {} : { "x-session-api-key": search.sessionKey };
  const { guarded } = search;
  const call = { ...BASH_SEARCH, method: "GET", url, headers, expects: "json", guarded } as const;
  const answer = await http.request(call, budget, signal);
  if (answer.kind === "json") {
    return { evidence: readSearch(answer.body, search.commandId), unauthorised: false };
  }
  const unauthorised = answer.kind === "status" && isUnauthorised(answer.status);
  return { evidence: cannotTell(BASH_SEARCH, answer), unauthorised };
}

function readSearch(body: unknown, commandId: string): Evidence {
  const found = searchShape.safeParse(body);
  if (!found.success) return malformed(BASH_SEARCH, "answered with an unexpected shape");
  const [item] = found.data.items;
  return found.data.items.length === 0
    ? { kind: "running", output: "none" }
    : readOutput(item, commandId);
}

function readOutput(item: unknown, commandId: string): Evidence {
  const output = outputShape.safeParse(item);
  if (!output.success) return malformed(BASH_SEARCH, "answered with an unexpected event");
  const { command_id, exit_code, stdout, stderr } = output.data;
  if (bareHex(command_id) !== bareHex(commandId)) {
    return malformed(BASH_SEARCH, "answered about another command");
  }
  if (exit_code === null) return { kind: "running", output: "partial" };
  return {
    kind: "exited",
    exitCode: exit_code,
    stdout: textTail(stdout),
    stderr: textTail(stderr),
  };
}

/** UUIDs are written with and without dashes. */
function bareHex(id: string): string {
  return id.replaceAll("-", "").toLowerCase();
}

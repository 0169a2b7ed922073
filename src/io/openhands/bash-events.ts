/**
 * Asks an agent server for the newest output of one command. The search is always scoped by the command's id, and the
 * answer must be about it: the same server runs other commands, whose exit codes prove nothing about the run.
 *
 * No output yet is the normal sign of a running command: output is stored per MiB and at the exit. What else it can
 * mean is a matter of command-status.ts.
 *
 * The last event has only the rest of the output, which can be almost nothing. The output of a failure is then completed
 * from the event before it, for people to read; it never changes the exit code.
 */
import { z } from "zod";
import type { Evidence } from "../../rules/model.ts";
import { cannotTell, isUnauthorized, malformed } from "../http/answer.ts";
import { type CallName, type HttpCall, type Query, urlBelow } from "../http/call.ts";
import type { Send } from "../http/client.ts";
import { textTail } from "../http/json-collector.ts";

export interface BashSearch {
  readonly agentUrl: URL;
  /** `null`: the server asks for none. */
  readonly sessionKey: string | null;
  readonly commandId: string;
  readonly guarded: boolean;
}

export interface BashAnswer {
  readonly evidence: Evidence;
  /** 401 or 403: the server rejected the key; a newer one may help. */
  readonly unauthorized: boolean;
  /** The Date header of a usable answer, Unix milliseconds; `null` without one. */
  readonly dateMs: number | null;
  /** When the newest output was stamped, Unix milliseconds; `null` without output, or with a stamp that is none. */
  readonly outputAtMs: number | null;
}

export const BASH_SEARCH: CallName = { source: "agent_server", operation: "bash_events_search" };
const EARLIER_OUTPUT: CallName = { source: "agent_server", operation: "earlier_output" };

/** As much as a failure shows, in characters. */
const SHOWN = { stderr: 1000, stdout: 500 };

const searchShape = z.object({ items: z.array(z.unknown()).max(1) });

const outputShape = z.object({
  kind: z.literal("BashOutput"),
  command_id: z.string(),
  exit_code: z.int32().nullable(),
  stdout: z.string().nullish(),
  stderr: z.string().nullish(),
  // Only needed for more output: unreadable values do no harm.
  order: z.int32().nonnegative().catch(0),
  timestamp: z.iso.datetime({ offset: true }).nullable().catch(null),
});

type Output = z.infer<typeof outputShape>;

export async function searchBashOutput(send: Send, search: BashSearch): Promise<BashAnswer> {
  const answer = await send(searchCall(BASH_SEARCH, search));
  if (answer.kind !== "json") {
    const evidence = cannotTell(BASH_SEARCH, answer);
    return { evidence, unauthorized: isUnauthorized(answer), dateMs: null, outputAtMs: null };
  }
  const found = readSearch(answer.body, search.commandId);
  const told = { unauthorized: false, dateMs: answer.dateMs };
  if (found.kind !== "BashOutput") return { ...told, evidence: found, outputAtMs: null };
  const outputAtMs = found.timestamp === null ? null : Date.parse(found.timestamp);
  const { exit_code: exitCode } = found;
  if (exitCode === null) {
    return { ...told, evidence: { kind: "running", output: "partial" }, outputAtMs };
  }
  const before = await outputBefore(send, search, found);
  const stdout = textTail(textTail(before?.stdout) + textTail(found.stdout));
  const stderr = textTail(textTail(before?.stderr) + textTail(found.stderr));
  return { ...told, evidence: { kind: "exited", exitCode, stdout, stderr }, outputAtMs };
}

function searchCall(name: CallName, search: BashSearch, narrowed: Query = {}): HttpCall {
  return agentCall(name, search, "/api/bash/bash_events/search", {
    kind__eq: "BashOutput",
    command_id__eq: search.commandId,
    sort_order: "TIMESTAMP_DESC",
    limit: "1",
    ...narrowed,
  });
}

/** A question to the agent server that the search names. */
export function agentCall(
  name: CallName,
  { agentUrl, sessionKey, guarded }: BashSearch,
  path: string,
  query: Query = {},
): HttpCall {
  const url = urlBelow(agentUrl, path, query);
  const headers = sessionKey === null ? {} : { "x-session-api-key": sessionKey };
  return { ...name, method: "GET", url, headers, expects: "json", guarded };
}

function readSearch(body: unknown, commandId: string): Evidence | Output {
  const found = searchShape.safeParse(body);
  if (!found.success) return malformed(BASH_SEARCH, "answered with an unexpected shape");
  const [item] = found.data.items;
  if (found.data.items.length === 0) return { kind: "running", output: "none" };
  const output = outputShape.safeParse(item);
  if (!output.success) return malformed(BASH_SEARCH, "answered with an unexpected event");
  if (bareHex(output.data.command_id) !== bareHex(commandId)) {
    return malformed(BASH_SEARCH, "answered about another command");
  }
  return output.data;
}

/** @returns `null` when nothing is missing, or the event right before cannot be read. */
async function outputBefore(send: Send, search: BashSearch, last: Output): Promise<Output | null> {
  if (last.timestamp === null || !isShort(last)) return null;
  const answer = await send(searchCall(EARLIER_OUTPUT, search, { timestamp__lt: last.timestamp }));
  if (answer.kind !== "json") return null;
  const found = readSearch(answer.body, search.commandId);
  // Older servers stamp events by the second, so that another event than the one right before may come.
  return found.kind === "BashOutput" && found.order === last.order - 1 ? found : null;
}

/** Whether there was more output than the last event has, and less of it here than a failure shows. */
function isShort({ order, exit_code, stdout, stderr }: Output): boolean {
  if (exit_code === 0 || order === 0) return false;
  return (stderr?.length ?? 0) < SHOWN.stderr || (stdout?.length ?? 0) < SHOWN.stdout;
}

/** UUIDs are written with and without dashes. */
export function bareHex(id: string): string {
  return id.replaceAll("-", "").toLowerCase();
}

/**
 * What became of a run's command, as far as its agent server can tell.
 *
 * A quiet command looks exactly like one that died with its server: the process and its output are in the server's
 * memory, only events are on disk. So a server that shows no exit is asked further, with what is left of the
 * verification's time: does it know the command, and is it older than the command? Only a clear answer says that the
 * command is lost; every other one leaves it running.
 */
import { z } from "zod";
import type { GoneReason } from "../../rules/model.ts";
import { type BashAnswer, type BashSearch, bareHex, searchBashOutput } from "./bash-events.ts";
import type { CallBudget } from "./call-budget.ts";
import type { CallName } from "./failure.ts";
import type { Caller } from "./http-client.ts";
import { gone } from "./sandbox-answer.ts";
import { urlBelow } from "./url.ts";

/**
 * How much younger than the command the server must be. A command is often started as soon as its server is up, uptime is
 * cut to whole seconds, and Date can come from an ingress, whose clock is another one than that which stamped the command.
 * The margin hides restarts in the first minute of a command; those runs wait for their hard deadline.
 */
const RESTART_MARGIN_MS = 60_000;

const BASH_EVENT: CallName = { source: "agent_server", operation: "get_bash_event" };
const SERVER_INFO: CallName = { source: "agent_server", operation: "server_info" };

const HEX_ID = /^[0-9a-f]{32}$/;

/** FastAPI's own words. An ingress answers 404 as well, but not like this. */
const notFoundShape = z.strictObject({ detail: z.literal("Not Found") });

/** The command's text is a tenant's, and is dropped here. */
const commandShape = z.object({
  kind: z.literal("BashCommand"),
  id: z.string(),
  timestamp: z.iso.datetime({ offset: true }),
});

const infoShape = z.object({ uptime: z.number().nonnegative() });

/** Three calls at most, all of them to the server that the search names. */
export async function askForFate(
  http: Caller,
  search: BashSearch,
  budget: CallBudget,
  signal: AbortSignal,
): Promise<BashAnswer> {
  const answer = await searchBashOutput(http, search, budget, signal);
  const { evidence } = answer;
  if (evidence.kind !== "running") return answer;
  const loss = await findLoss(http, search, evidence.output, budget, signal);
  return loss === null ? answer : { ...answer, evidence: gone(loss, LOSSES[loss]) };
}

type Loss = Extract<GoneReason, "command-unknown" | "server-restarted">;

const LOSSES: Readonly<Record<Loss, string>> = {
  "command-unknown": "The agent server does not know the command",
  "server-restarted": "The agent server restarted after the command began",
};

/** @returns `null` unless the command is lost for certain. */
async function findLoss(
  http: Caller,
  search: BashSearch,
  output: "none" | "partial",
  budget: CallBudget,
  signal: AbortSignal,
): Promise<Loss | null> {
  const command = await askForCommand(http, search, budget, signal);
  if (command === null) return null;
  // A server with output of a command knows it; it purged the older event before the newer one.
  if (command === "unknown") return output === "none" ? "command-unknown" : null;
  const startedAtMs = await askForStart(http, search, budget, signal);
  if (startedAtMs === null) return null;
  return startedAtMs - command.beganAtMs > RESTART_MARGIN_MS ? "server-restarted" : null;
}

type Known = { readonly beganAtMs: number } | "unknown";

async function askForCommand(
  http: Caller,
  { agentUrl, sessionKey, commandId, guarded }: BashSearch,
  budget: CallBudget,
  signal: AbortSignal,
): Promise<Known | null> {
  // The server compares this id as text.
  const id = bareHex(commandId);
  if (!HEX_ID.test(id)) return null;
  const url = urlBelow(agentUrl, `/api/bash/bash_events/${id}`, {});
  const headers = sessionKey === null ? {} : { "x-session-api-key": sessionKey };
  const expects = "json-or-404";
  const call = { ...BASH_EVENT, method: "GET", url, headers, expects, guarded } as const;
  const answer = await http.request(call, budget, signal);
  if (answer.kind !== "json") return null;
  if (answer.status === 404) {
    return notFoundShape.safeParse(answer.body).success ? "unknown" : null;
  }
  const command = commandShape.safeParse(answer.body);
  if (!command.success || bareHex(command.data.id) !== id) return null;
  return { beganAtMs: Date.parse(command.data.timestamp) };
}

/**
 * When the server started, by the clock that stamped the command; Unix milliseconds.
 *
 * Uptime and Date stand in one answer, so that the time which answers take does not matter.
 */
async function askForStart(
  http: Caller,
  { agentUrl, guarded }: BashSearch,
  budget: CallBudget,
  signal: AbortSignal,
): Promise<number | null> {
  const url = urlBelow(agentUrl, "/server_info", {});
  // Open to everybody: the key stays at home.
  const call = {
    ...SERVER_INFO,
    method: "GET",
    url,
    headers: {},
    expects: "json",
    guarded,
  } as const;
  const answer = await http.request(call, budget, signal);
  if (answer.kind !== "json" || answer.dateMs === null) return null;
  const info = infoShape.safeParse(answer.body);
  return info.success ? answer.dateMs - info.data.uptime * 1000 : null;
}

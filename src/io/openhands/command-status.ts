/**
 * What became of a run's command, as far as the agent server of its own sandbox can tell.
 *
 * A quiet command looks exactly like one that died with its server: the process and its output are in the server's
 * memory, only events are on disk. So a server that shows no exit is asked further, with what is left of the
 * verification's time: does it know the command, and is it older than the command? Only a clear answer says that the
 * command is lost; every other one leaves it running. A clock that was set makes an old server look young, so an answer
 * is clear only when all the times in it, and in the answers before it, fit together.
 */
import { z } from "zod";
import type { GoneReason } from "../../rules/model.ts";
import type { CallName } from "../http/call.ts";
import type { Send } from "../http/client.ts";
import {
  agentCall,
  type BashAnswer,
  type BashSearch,
  bareHex,
  searchBashOutput,
} from "./bash-events.ts";

/**
 * How much younger than the command's last sign of life the server must be. A command is often started as soon as its
 * server is up, uptime is cut to whole seconds, and Date can come from an ingress, whose clock is another one than that
 * which stamped the command. The margin hides restarts in the first minute of a command; those runs wait for their hard
 * deadline.
 */
const RESTART_MARGIN_MS = 60_000;

const BASH_EVENT: CallName = { source: "agent_server", operation: "get_bash_event" };
const SERVER_INFO: CallName = { source: "agent_server", operation: "server_info" };

const HEX_ID = /^[0-9a-f]{32}$/;

/** FastAPI's own text. An ingress answers 404 as well, but with another one. */
const notFoundShape = z.strictObject({ detail: z.literal("Not Found") });

/** The command's text is a tenant's, and is dropped here. */
const commandShape = z.object({
  kind: z.literal("BashCommand"),
  id: z.string(),
  timestamp: z.iso.datetime({ offset: true }),
});

/** Seconds, by the server's own clock, which may have been set since it started. */
const infoShape = z.object({ uptime: z.number(), idle_time: z.number() });

/** Three calls at most, all of them to the server that the search names. */
export async function askForCommandStatus(send: Send, search: BashSearch): Promise<BashAnswer> {
  const answer = await searchBashOutput(send, search);
  if (answer.evidence.kind !== "running") return answer;
  const loss = await findLoss(send, search, answer);
  return loss === null ? answer : { ...answer, evidence: { kind: "gone", reason: loss } };
}

type Loss = Extract<GoneReason, "command-unknown" | "server-restarted">;

/** @returns `null` unless the command is lost for certain. */
async function findLoss(
  send: Send,
  search: BashSearch,
  { dateMs: searchedAtMs, outputAtMs, evidence }: BashAnswer,
): Promise<Loss | null> {
  const silent = evidence.kind === "running" && evidence.output === "none";
  const command = await askForCommand(send, search);
  if (command === null) return null;
  // A server with output of a command knows it; it purged the older event before the newer one.
  if (command === "unknown") return silent ? "command-unknown" : null;
  const server = await askForServer(send, search);
  if (server === null) return null;
  const lastSignMs = silent ? command.beganAtMs : outputAtMs;
  if (lastSignMs === null || lastSignMs < command.beganAtMs) return null;
  const startedAtMs = startOf(server, [searchedAtMs, command.dateMs, server.dateMs]);
  if (startedAtMs === null) return null;
  return startedAtMs - lastSignMs > RESTART_MARGIN_MS ? "server-restarted" : null;
}

/** The Date of each answer, in the order in which they came. */
type Dates = readonly [search: number | null, command: number | null, server: number | null];

/**
 * When the server started, by the clock that stamped the command; Unix milliseconds. Counted from the first Date, so
 * that one that jumped ahead makes no server younger.
 *
 * @returns `null` when the times contradict each other, or show a server that was still given work after its first
 *   minute: idle time begins anew with every command and every event of a conversation, and those may be the run's.
 */
function startOf({ uptimeMs, idleMs }: Server, [search, command, server]: Dates): number | null {
  if (idleMs < 0 || idleMs > uptimeMs || uptimeMs - idleMs > RESTART_MARGIN_MS) return null;
  if (search === null || command === null || server === null) return null;
  return search <= command && command <= server ? search - uptimeMs : null;
}

type Known = { readonly beganAtMs: number; readonly dateMs: number | null } | "unknown";

async function askForCommand(send: Send, search: BashSearch): Promise<Known | null> {
  // The server compares this id as text.
  const id = bareHex(search.commandId);
  if (!HEX_ID.test(id)) return null;
  const call = agentCall(BASH_EVENT, search, `/api/bash/bash_events/${id}`);
  const answer = await send({ ...call, expects: "json-or-404" });
  if (answer.kind !== "json") return null;
  if (answer.status === 404) {
    return notFoundShape.safeParse(answer.body).success ? "unknown" : null;
  }
  const command = commandShape.safeParse(answer.body);
  if (!command.success || bareHex(command.data.id) !== id) return null;
  return { beganAtMs: Date.parse(command.data.timestamp), dateMs: answer.dateMs };
}

interface Server {
  /** Since it started. */
  readonly uptimeMs: number;
  /** Since it was last given something to do, or started. */
  readonly idleMs: number;
  readonly dateMs: number | null;
}

async function askForServer(send: Send, search: BashSearch): Promise<Server | null> {
  // Needs no key, so none is sent.
  const answer = await send(
    agentCall(SERVER_INFO, { ...search, sessionKey: null }, "/server_info"),
  );
  if (answer.kind !== "json") return null;
  const info = infoShape.safeParse(answer.body);
  if (!info.success) return null;
  const { uptime, idle_time } = info.data;
  return { uptimeMs: uptime * 1000, idleMs: idle_time * 1000, dateMs: answer.dateMs };
}

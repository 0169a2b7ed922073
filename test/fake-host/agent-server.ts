/** The agent server's side of the fake host: stored bash events, searched as the real one does. */
import { randomBytes } from "node:crypto";
import {
  type BashCommand,
  type BashOutput,
  type HttpReply,
  html,
  JSON_TYPE,
  json,
  type Sandbox,
  type SeenRequest,
  unprocessable,
} from "./model.ts";

const MAX_LIMIT = 100;
const UUID = /^[0-9a-f]{32}$/;
// A command that names no time of its own began this long before its server was asked for the first time.
const COMMAND_AGE_MS = 600_000;

/** `path` is what follows the sandbox's own prefix. */
export function answerAsAgent(
  sandbox: Sandbox | undefined,
  path: string,
  request: SeenRequest,
): HttpReply {
  // An ingress stands in front: without a running pod it answers by itself.
  if (sandbox === undefined) return html(404, "Not Found");
  if (sandbox.status !== "RUNNING") return html(503, "Service Temporarily Unavailable");
  switch (path) {
    case "/alive":
    case "/health":
      return json(200, { status: "ok" });
    case "/ready":
      return sandbox.initializing
        ? json(503, { status: "initializing" })
        : json(200, { status: "ready" });
    case "/server_info":
      return serverInfo(sandbox);
    default:
      return answerApi(sandbox, path, request);
  }
}

function serverInfo(sandbox: Sandbox): HttpReply {
  return json(200, {
    uptime: sandbox.uptimeS,
    // Since its newest command began, or since it started.
    idle_time: Math.min(sandbox.uptimeS, COMMAND_AGE_MS / 1000),
    version: "1.43.1",
    sdk_version: "1.43.1",
    runtime_idle_timeout_seconds: null,
  });
}

function answerApi(sandbox: Sandbox, path: string, request: SeenRequest): HttpReply {
  const key = sandbox.agentKey === undefined ? sandbox.sessionKey : sandbox.agentKey;
  if (key !== null && request.headers["x-session-api-key"] !== key) {
    return json(401, { detail: "Unauthorized" });
  }
  if (sandbox.initializing) return json(503, { detail: "Server is not initialized" });
  const prefix = "/api/bash/bash_events/";
  if (request.method !== "GET" || !path.startsWith(prefix)) {
    return json(404, { detail: "Not Found" });
  }
  const rest = path.slice(prefix.length);
  if (rest === "search") return search(eventsOf(sandbox), request.query);
  const event = eventsOf(sandbox).find(({ id }) => id === rest);
  if (event === undefined) return json(404, { detail: "Not Found" });
  return { status: 200, headers: JSON_TYPE, body: event.json };
}

/** An event as it is stored: the file name decides the order, the text is what is sent. */
interface StoredEvent {
  readonly file: string;
  readonly id: string;
  readonly kind: "BashCommand" | "BashOutput";
  readonly commandId: string | null;
  readonly order: number;
  readonly stamp: string;
  readonly json: string;
}

interface Search {
  readonly kind: string | null;
  readonly commandId: string | null;
  readonly descending: boolean;
  readonly limit: number;
  readonly orderAbove: number;
  readonly from: string;
  readonly until: string;
  readonly page: string | null;
}

function search(events: readonly StoredEvent[], query: URLSearchParams): HttpReply {
  const wanted = parseSearch(query);
  if ("refused" in wanted) return unprocessable("query", wanted.refused);
  if (wanted.limit < 1 || wanted.limit > MAX_LIMIT) return internalError("AssertionError");
  const found = events.filter((event) => matches(event, wanted));
  if (wanted.descending) found.reverse();
  // An unknown page silently means the first one, and `order__gt` thins out a page after it was cut.
  const at = found.findIndex(({ file }) => file === wanted.page);
  const start = Math.max(0, at);
  const page = found.slice(start, start + wanted.limit);
  const items = page.filter(({ order }) => order > wanted.orderAbove).map((event) => event.json);
  const next = found[start + wanted.limit]?.file ?? null;
  return {
    status: 200,
    headers: JSON_TYPE,
    body: `{"items":[${items.join(",")}],"next_page_id":${JSON.stringify(next)}}`,
  };
}

function matches(event: StoredEvent, wanted: Search): boolean {
  if (wanted.kind !== null && event.kind !== wanted.kind) return false;
  if (wanted.commandId !== null && event.commandId !== wanted.commandId) return false;
  return event.stamp >= wanted.from && event.stamp < wanted.until;
}

function parseSearch(query: URLSearchParams): Search | { readonly refused: string } {
  const kind = oneOf(query.get("kind__eq"), ["BashCommand", "BashOutput"]);
  const commandId = uuid(query.get("command_id__eq"));
  const sortOrder = oneOf(query.get("sort_order"), ["TIMESTAMP", "TIMESTAMP_DESC"]);
  const limit = integer(query.get("limit"), MAX_LIMIT);
  const orderAbove = integer(query.get("order__gt"), -1);
  const from = stampOf(query.get("timestamp__gte"), "");
  const until = stampOf(query.get("timestamp__lt"), "9");
  if (kind === undefined) return { refused: "kind__eq" };
  if (commandId === undefined) return { refused: "command_id__eq" };
  if (sortOrder === undefined) return { refused: "sort_order" };
  if (limit === undefined) return { refused: "limit" };
  if (orderAbove === undefined) return { refused: "order__gt" };
  if (from === undefined) return { refused: "timestamp__gte" };
  if (until === undefined) return { refused: "timestamp__lt" };
  const descending = sortOrder === "TIMESTAMP_DESC";
  return {
    kind,
    commandId,
    descending,
    limit,
    orderAbove,
    from,
    until,
    page: query.get("page_id"),
  };
}

function internalError(exception: string): HttpReply {
  const id = randomBytes(16).toString("hex");
  return json(500, { detail: "Internal Server Error", exception, error_id: id });
}

// Each of these takes what the query holds and returns `undefined` for what the server refuses.

function oneOf(text: string | null, allowed: readonly string[]): string | null | undefined {
  return text === null || allowed.includes(text) ? text : undefined;
}

function uuid(text: string | null): string | null | undefined {
  if (text === null) return null;
  const hex = text.replaceAll("-", "").toLowerCase();
  return UUID.test(hex) ? hex : undefined;
}

function integer(text: string | null, absent: number): number | undefined {
  if (text === null) return absent;
  return /^-?\d+$/.test(text) ? Number(text) : undefined;
}

/** 20 digits down to microseconds, as in file names. */
function stampOf(timestamp: string | null, absent: string): string | undefined {
  if (timestamp === null) return absent;
  const [, date, time, fraction = ""] =
    /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:Z|[+-]\d\d:\d\d)?$/.exec(timestamp) ??
    [];
  if (date === undefined || time === undefined) return undefined;
  return `${date}${time}`.replace(/[-:]/g, "") + fraction.padEnd(6, "0");
}

// Sandboxes are replaced, never changed, so what was worked out for one stays right.
const stored = new WeakMap<Sandbox, readonly StoredEvent[]>();

function eventsOf(sandbox: Sandbox): readonly StoredEvent[] {
  const known = stored.get(sandbox);
  if (known !== undefined) return known;
  const listed = new Set(sandbox.commands.map(({ id }) => id));
  const named = new Set(sandbox.outputs.map(({ commandId }) => commandId));
  const unlisted = [...named].filter((id) => !listed.has(id)).map((id) => ({ id }));
  const began = Date.now() - COMMAND_AGE_MS;
  const events = [
    ...[...sandbox.commands, ...unlisted].map((command) => storedCommand(command, began)),
    // Outputs without a time follow each other by a millisecond, in the order of the list.
    ...sandbox.outputs.map((output, index) => storedOutput(output, began + 1 + index)),
  ].sort((a, b) => (a.file < b.file ? -1 : 1));
  stored.set(sandbox, events);
  return events;
}

function storedCommand(command: BashCommand, atMs: number): StoredEvent {
  const { id, command: line = "python main.py", timeout = 600 } = command;
  const timestamp = command.timestamp ?? micros(atMs);
  const event = { kind: "BashCommand", id, timestamp, command: line, cwd: null, timeout };
  return store("BashCommand", id, null, 0, timestamp, event);
}

function storedOutput(output: BashOutput, atMs: number): StoredEvent {
  const { id = randomBytes(16).toString("hex"), commandId, exitCode, order = 0 } = output;
  const timestamp = output.timestamp ?? micros(atMs);
  const event = {
    kind: "BashOutput",
    id,
    timestamp,
    command_id: commandId,
    order,
    exit_code: exitCode,
    stdout: output.stdout ?? null,
    stderr: output.stderr ?? null,
  };
  return store("BashOutput", id, commandId, order, timestamp, event);
}

function store(
  kind: StoredEvent["kind"],
  id: string,
  commandId: string | null,
  order: number,
  timestamp: string,
  event: object,
): StoredEvent {
  const stamp = stampOf(timestamp, "");
  if (stamp === undefined) throw new Error(`a timestamp must be ISO 8601, got "${timestamp}"`);
  const file = [stamp, kind, ...(commandId === null ? [] : [commandId]), id].join("_");
  return { file, id, kind, commandId, order, stamp, json: JSON.stringify(event) };
}

function micros(atMs: number): string {
  return new Date(atMs).toISOString().replace("Z", "000Z");
}

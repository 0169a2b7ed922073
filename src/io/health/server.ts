import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** A connection serves one request, and is closed after this time at the latest. */
const CONNECTION_MS = 4000;
const MAX_CONNECTIONS = 500;

export interface Answer {
  readonly status: number;
  readonly body: object;
}

/** The body where there is no answer to give. */
export interface ErrorDocument {
  readonly error: string;
}

/** Text of another kind than JSON. */
export interface TextAnswer {
  readonly status: number;
  readonly text: string;
  /** With its `content-type`. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface HealthServerOptions {
  /** `::` for all addresses: IPv6 and IPv4, or IPv4 alone where there is no IPv6. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Path to answer; called per request, so it must only look at memory. */
  readonly routes: Readonly<Record<string, Route>>;
}

export type Route = () => Answer | TextAnswer | Promise<TextAnswer>;

export interface HealthServer extends AsyncDisposable {
  /** Where it listens, for people: `http://127.0.0.1:9464`. */
  readonly url: string;
}

/** @throws when the address cannot be used, such as EADDRINUSE. */
export async function openHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const server = createServer(async (request, response) => {
    request.resume();
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const route = Object.hasOwn(options.routes, path) ? options.routes[path] : undefined;
    if (route === undefined) {
      const routes = Object.keys(options.routes).join(", ");
      send(response, refusal(404, `try ${routes}`));
    } else if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      send(response, refusal(405, "only GET"));
    } else {
      send(response, await answerOf(route));
    }
  });
  limitConnections(server);
  const { host, port } = options;
  // Without a host, Node listens on all addresses that there are.
  server.listen({ port, ...(host === "::" ? {} : { host }) });
  await once(server, "listening");
  // Later errors concern single connections.
  server.on("error", () => {});
  return { url: urlOf(server, host), [Symbol.asyncDispose]: () => close(server) };
}

/** Clients that send nothing, send slowly or do not read must leave room for probes: the oldest connection is closed. */
function limitConnections(server: Server): void {
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    const [oldest] = open;
    if (oldest !== undefined && open.size === MAX_CONNECTIONS) {
      open.delete(oldest);
      oldest.destroy();
    }
    open.add(socket);
    // Node checks its own limits every 30 s, and none of them covers the answer.
    const timer = setTimeout(() => socket.destroy(), CONNECTION_MS);
    socket.once("close", () => {
      clearTimeout(timer);
      open.delete(socket);
    });
  });
}

/** No request may take the worker down. */
async function answerOf(route: Route): Promise<Answer | TextAnswer> {
  try {
    return await route();
  } catch {
    return refusal(500, "this answer could not be made");
  }
}

function refusal(status: number, error: string): Answer {
  const body: ErrorDocument = { error };
  return { status, body };
}

function send(response: ServerResponse, answer: Answer | TextAnswer): void {
  const { status, text, headers } = "text" in answer ? answer : asText(answer);
  response.writeHead(status, {
    ...headers,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    connection: "close",
  });
  response.end(text);
}

function asText({ status, body }: Answer): TextAnswer {
  return {
    status,
    text: `${JSON.stringify(body, null, 2)}\n`,
    headers: { "content-type": "application/json; charset=utf-8" },
  };
}

function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  return promise;
}

function urlOf(server: Server, host: string): string {
  // A TCP server that listens has an address object.
  const { address, port } = server.address() as AddressInfo;
  const shown = address === "0.0.0.0" || address === "::" ? "127.0.0.1" : host;
  return `http://${shown.includes(":") ? `[${shown}]` : shown}:${port}`;
}

import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Answer {
  readonly status: number;
  readonly body: object;
}

export interface HealthServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Path to answer; called per request, so it must only look at memory. */
  readonly routes: Readonly<Record<string, () => Answer>>;
}

export interface HealthServer extends AsyncDisposable {
  /** Where it listens, for people: `http://127.0.0.1:9464`. */
  readonly url: string;
}

/** @throws when the address cannot be used, such as EADDRINUSE. */
export async function openHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const server = createServer((request, response) => {
    request.resume();
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const route = Object.hasOwn(options.routes, path) ? options.routes[path] : undefined;
    if (route === undefined) {
      const routes = Object.keys(options.routes).join(", ");
      send(response, { status: 404, body: { error: `try ${routes}` } });
    } else if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      send(response, { status: 405, body: { error: "only GET" } });
    } else {
      send(response, answerOf(route));
    }
  });
  // A client that never finishes its request must not hold a connection for ever.
  server.requestTimeout = 5000;
  server.headersTimeout = 5000;
  server.keepAliveTimeout = 5000;
  server.maxConnections = 100;
  await listen(server, options);
  return { url: urlOf(server, options.host), [Symbol.asyncDispose]: () => close(server) };
}

/** Nobody who asks may take the worker down. */
function answerOf(route: () => Answer): Answer {
  try {
    return route();
  } catch {
    return { status: 500, body: { error: "this answer could not be made" } };
  }
}

function send(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(`${JSON.stringify(answer.body, null, 2)}\n`);
}

function listen(server: Server, options: HealthServerOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(options.port, options.host, () => {
    server.off("error", reject);
    // Later errors concern single connections.
    server.on("error", () => {});
    resolve();
  });
  return promise;
}

function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  return promise;
}

function urlOf(server: Server, host: string): string {
  // A TCP server that listens has an address object.
  const { port } = server.address() as AddressInfo;
  const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${shown.includes(":") ? `[${shown}]` : shown}:${port}`;
}

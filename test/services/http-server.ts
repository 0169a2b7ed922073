/** A real HTTP server on 127.0.0.1 whose answers a test writes, and which tells what it saw. */
import { EventEmitter, once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import { text } from "node:stream/consumers";

export interface SeenRequest {
  readonly method: string;
  /** As it was sent: path and query, or a whole URL when the server is used as a proxy. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export type Handler = (request: SeenRequest, response: ServerResponse) => unknown;

export interface HttpServer extends AsyncDisposable {
  readonly server: Server;
  readonly port: number;
  /** `http://127.0.0.1:<port>`, or `https:` */
  readonly origin: string;
  readonly requests: readonly SeenRequest[];
  /** Resolves when that many requests have arrived since the start. */
  arrived(count: number): Promise<void>;
}

/** With `tls` it speaks HTTPS. */
export async function startHttpServer(handler: Handler, tls?: ServerOptions): Promise<HttpServer> {
  const requests: SeenRequest[] = [];
  const arrivals = new EventEmitter();
  const listener: RequestListener = async (incoming, response) => {
    const { method = "", url: target = "", headers } = incoming;
    const request = { method, target, headers, body: await text(incoming) };
    requests.push(request);
    arrivals.emit("request");
    await handler(request, response);
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    server,
    port: address.port,
    origin: `${tls ? "https" : "http"}://127.0.0.1:${address.port}`,
    requests,
    async arrived(count) {
      while (requests.length < count) await once(arrivals, "request");
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

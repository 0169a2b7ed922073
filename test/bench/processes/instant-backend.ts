/**
 * Everybody whom a worker asks, with as little work as possible: each run has exited with code 0. It keeps no state, so
 * that it is cheap with any number of runs. Its argument is `{ latencyMs }`; it prints its url.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import process from "node:process";
import { argumentOf } from "./child.ts";

const HOST = "127.0.0.1";

await main(argumentOf<{ readonly latencyMs: number }>());

async function main({ latencyMs }: { readonly latencyMs: number }): Promise<void> {
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
  // A whole sweep's connections may come at once.
  server.listen({ port: 0, host: HOST, backlog: 4096 });
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  const url = `http://${HOST}:${address.port}`;
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    const body = answer(url, request.url ?? "/");
    if (latencyMs === 0) send(response, body);
    else setTimeout(() => send(response, body), latencyMs);
  });
  process.stdout.write(`${JSON.stringify({ url })}\n`);
  process.stdin.resume().once("end", () => process.exit());
}

function send(response: ServerResponse, body: string): void {
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

function answer(url: string, target: string): string {
  const [path = "/", search = ""] = target.split("?", 2);
  if (path.startsWith("/verify/")) return SUCCEEDED;
  if (path.startsWith("/api/service/users/")) return KEY;
  const query = new URLSearchParams(search);
  if (path === "/api/v1/sandboxes") return sandboxes(url, query.getAll("id"));
  if (path.endsWith("/bash_events/search")) return events(query.get("command_id__eq") ?? "");
  return DELETED;
}

const SUCCEEDED = JSON.stringify({ state: "succeeded", exit_code: 0, stdout: "done\n" });
const KEY = JSON.stringify({ key: "sk-oh-of-the-bench" });
const DELETED = JSON.stringify({ success: true });

function sandboxes(url: string, ids: readonly string[]): string {
  return JSON.stringify(
    ids.map((id) => ({
      id,
      status: "RUNNING",
      session_api_key: "key-of-the-session",
      exposed_urls: [{ name: "AGENT_SERVER", url: `${url}/agent/${id}`, port: 8000 }],
    })),
  );
}

function events(commandId: string): string {
  const output = {
    kind: "BashOutput",
    id: commandId,
    timestamp: "2026-01-01T00:00:00.000000Z",
    command_id: commandId,
    order: 0,
    exit_code: 0,
    stdout: "done\n",
    stderr: null,
  };
  return JSON.stringify({ items: [output], next_page_id: null });
}

/**
 * The systems around the worker over real HTTP: the host's sandbox API and the agent server of every sandbox, all on
 * one port of 127.0.0.1. State is set from outside, every question is recorded, and any answer can be replaced.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { answerAsAgent } from "./agent-server.ts";
import {
  type HttpReply,
  json,
  type Reply,
  type RequestKind,
  type Sandbox,
  type SeenRequest,
} from "./model.ts";
import { FakeSandboxApi, type LookupLimit, NEWER_LIMIT } from "./sandbox-api.ts";
import { Traffic } from "./traffic.ts";

const HOST = "127.0.0.1";
const AGENT = /^\/agent\/([^/]+)(\/.*)?$/;
const KEPT_REQUESTS = 20_000;

export interface FakeHostOptions {
  /** Every answer takes at least this long. */
  readonly latencyMs?: number;
  /** How many requests `requests` keeps; the newest stay. */
  readonly keepRequests?: number;
  /** Of sandboxes that are asked about at once; default: as newer servers have it. */
  readonly lookupLimit?: LookupLimit;
  /** Under which name others reach it, on every address of this machine; default: a free port of 127.0.0.1. */
  readonly at?: { readonly name: string; readonly port: number };
  /** Default: random. */
  readonly serviceKey?: string;
}

/** Returns what to answer instead, or nothing to leave the answer alone; a promise delays it. */
export type Interceptor = (request: SeenRequest) => Reply | undefined | Promise<Reply | undefined>;

export interface Barrier {
  /** Settles when as many questions wait as were asked for; they are answered then. */
  readonly full: Promise<void>;
  /** Lets everybody through, full or not. */
  release(): void;
}

export async function startFakeHost(options: FakeHostOptions = {}): Promise<FakeHost> {
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
  const { at } = options;
  if (at === undefined) server.listen(0, HOST);
  else server.listen(at.port);
  await once(server, "listening");
  return new FakeHost(server, options);
}

export class FakeHost implements AsyncDisposable {
  /** May be changed at any time. */
  latencyMs: number;
  readonly url: string;
  readonly traffic: Traffic;
  readonly #server: Server;
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #limited = new Map<string, number>();
  readonly #api: FakeSandboxApi;
  readonly #interceptors = new Set<Interceptor>();

  constructor(server: Server, options: FakeHostOptions) {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the server has no port");
    this.#server = server;
    this.url = `http://${options.at?.name ?? HOST}:${address.port}`;
    this.latencyMs = options.latencyMs ?? 0;
    this.traffic = new Traffic(options.keepRequests ?? KEPT_REQUESTS);
    const { lookupLimit = NEWER_LIMIT, serviceKey } = options;
    const agents = () => `${this.url}/agent`;
    this.#api = new FakeSandboxApi(this.#sandboxes, agents, lookupLimit, serviceKey);
    server.on("request", (request, response) => void this.#serve(request, response));
  }

  get serviceKey(): string {
    return this.#api.serviceKey;
  }

  /** The newest requests, oldest first. */
  get requests(): readonly SeenRequest[] {
    return this.traffic.requests;
  }

  /** A RUNNING sandbox with nothing in it, unless the patch says otherwise. */
  addSandbox(patch: Partial<Sandbox> = {}): Sandbox {
    const sandbox: Sandbox = {
      id: randomBytes(11).toString("hex"),
      userId: randomUUID(),
      orgId: randomUUID(),
      status: "RUNNING",
      sessionKey: randomBytes(16).toString("hex"),
      commands: [],
      outputs: [],
      uptimeS: 3600,
      broken: false,
      initializing: false,
      rateLimit: null,
      ...patch,
    };
    this.#sandboxes.set(sandbox.id, sandbox);
    return sandbox;
  }

  sandbox(id: string): Sandbox | undefined {
    return this.#sandboxes.get(id);
  }

  update(id: string, patch: Partial<Omit<Sandbox, "id">>): Sandbox {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined) throw new Error(`there is no sandbox ${id}`);
    const changed = { ...sandbox, ...patch };
    this.#sandboxes.set(id, changed);
    return changed;
  }

  /** Forgets a sandbox, as the host does after a deletion: it answers `null` for it. */
  remove(id: string): void {
    this.#sandboxes.delete(id);
  }

  agentUrl(id: string): string {
    return `${this.url}/agent/${encodeURIComponent(id)}`;
  }

  revokeKeys(userId: string): void {
    this.#api.revokeKeys(userId);
  }

  /** @returns a function that removes it again. The first that returns a reply wins. */
  intercept(interceptor: Interceptor): () => void {
    this.#interceptors.add(interceptor);
    return () => void this.#interceptors.delete(interceptor);
  }

  /** Answers questions of a kind only when `count` of them have arrived. */
  barrier(count: number, kind: RequestKind): Barrier {
    const { promise: full, resolve: release } = Promise.withResolvers<void>();
    let arrived = 0;
    const remove = this.intercept(async (request) => {
      if (request.kind !== kind) return undefined;
      arrived += 1;
      if (arrived >= count) release();
      await full;
      remove();
      return undefined;
    });
    return { full, release };
  }

  /** Ends every connection, idle or not. Safe to call again. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const question = questionFrom(request, await bodyOf(request));
      if (response.destroyed) return;
      response.once("close", this.traffic.arrived(question));
      const replaced = await this.#intercepted(question);
      if (this.latencyMs > 0) await sleep(this.latencyMs);
      await send(response, replaced ?? this.#answer(question));
    } catch {
      response.destroy();
    }
  }

  async #intercepted(question: SeenRequest): Promise<Reply | undefined> {
    for (const interceptor of this.#interceptors) {
      const reply = await interceptor(question);
      if (reply !== undefined) return reply;
    }
    return undefined;
  }

  #answer(question: SeenRequest): HttpReply {
    const refusal = this.#rateLimited(question);
    if (refusal !== null) return refusal;
    const agent = AGENT.exec(question.path);
    if (agent === null) return this.#api.answer(question);
    return answerAsAgent(this.#sandboxes.get(question.sandboxId ?? ""), agent[2] ?? "/", question);
  }

  #rateLimited({ sandboxIds, kind }: SeenRequest): HttpReply | null {
    for (const id of sandboxIds) {
      const refusal = this.#rateLimitedFor(id, kind);
      if (refusal !== null) return refusal;
    }
    return null;
  }

  #rateLimitedFor(sandboxId: string, kind: RequestKind): HttpReply | null {
    const limit = this.#sandboxes.get(sandboxId)?.rateLimit;
    if (!limit) return null;
    if (!(limit.kinds ?? ["lookup"]).includes(kind)) return null;
    const refused = this.#limited.get(sandboxId) ?? 0;
    if (refused >= limit.first) return null;
    this.#limited.set(sandboxId, refused + 1);
    const reply = json(429, { error: "Rate limit exceeded: 10 per 1 second" });
    return { ...reply, headers: { ...reply.headers, "retry-after": String(limit.retryAfterS) } };
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  if (request.method === "GET" || request.method === "HEAD") {
    request.resume();
    return "";
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function questionFrom(request: IncomingMessage, body: string): SeenRequest {
  const [path = "/", search = ""] = (request.url ?? "/").split("?", 2);
  const query = new URLSearchParams(search);
  const method = request.method ?? "GET";
  const agent = AGENT.exec(path);
  const named = decoded(agent?.[1] ?? sandboxIdIn(path));
  const sandboxIds = named === null ? query.getAll("id") : [named];
  return {
    kind: agent === null ? apiKind(method, path) : agentKind(agent[2] ?? "/"),
    method,
    path,
    query,
    headers: request.headers,
    body,
    sandboxId: sandboxIds[0] ?? null,
    sandboxIds,
    atMs: performance.now(),
  };
}

function apiKind(method: string, path: string): RequestKind {
  if (method === "GET" && path === "/api/v1/sandboxes") return "lookup";
  if (method === "DELETE" && SANDBOX.test(path)) return "delete";
  if (method === "POST" && PAUSE.test(path)) return "pause";
  if (method === "POST" && path.startsWith("/api/service/users/")) return "mint";
  return "other";
}

function agentKind(path: string): RequestKind {
  if (path === "/api/bash/bash_events/search") return "events";
  if (path.startsWith("/api/bash/bash_events/")) return "event";
  if (path === "/server_info") return "server-info";
  if (path === "/alive" || path === "/health" || path === "/ready") return "probe";
  return "other";
}

const SANDBOX = /^\/api\/v1\/sandboxes\/([^/]+)$/;
const PAUSE = /^\/api\/v1\/sandboxes\/([^/]+)\/pause$/;

function sandboxIdIn(path: string): string | null {
  return (SANDBOX.exec(path) ?? PAUSE.exec(path))?.[1] ?? null;
}

function decoded(id: string | null): string | null {
  if (id === null) return null;
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

async function send(response: ServerResponse, reply: Reply): Promise<void> {
  if (reply === "silence" || response.destroyed) return;
  if (reply === "reset") {
    response.req.socket.resetAndDestroy();
    return;
  }
  const { status, headers = {}, body = "" } = reply;
  if (typeof body === "string" || body instanceof Uint8Array) {
    response.writeHead(status, { "content-length": Buffer.byteLength(body), ...headers });
    response.end(body);
    return;
  }
  response.writeHead(status, headers);
  const closed = once(response, "close");
  for await (const chunk of body) {
    if (response.destroyed) return;
    // Until it has left: what follows may break the connection, and this is to arrive all the same.
    const written = new Promise((resolve) => response.write(chunk, resolve));
    await Promise.race([written, closed]);
  }
  response.end();
}

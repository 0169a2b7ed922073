/** What the backend tests share: a run, a client, and the three OpenHands servers in one. */
import { lookup as systemLookup } from "node:dns";
import type { LookupFunction } from "node:net";
import { systemClock } from "../../../src/io/clock.ts";
import type { Secret } from "../../../src/io/http/call.ts";
import { HttpClient, type HttpClientOptions } from "../../../src/io/http/client.ts";
import {
  type OpenHandsCloudOptions,
  openHandsCloudBackend,
} from "../../../src/io/openhands/cloud.ts";
import type { Evidence, RunSnapshot } from "../../../src/rules/model.ts";
import { SharedSlots } from "../../../src/watchdog/concurrency/shared-slots.ts";
import type { Backend } from "../../../src/watchdog/ports.ts";
import {
  type Handler,
  type HttpServer,
  type SeenRequest,
  sendJson,
  startHttpServer,
} from "../../services/http-server.ts";
import type { FakeClock } from "../../support/memory/fake-clock.ts";

export const COMMAND_ID = "0123456789abcdef0123456789abcdef";
export const SANDBOX_ID = "3kTqSandbox";

export const clock = systemClock;

/** A secret that nobody replaces. */
export function fixed<T extends string | null>(value: T): Secret<T> {
  return { current: value, refresh: () => value };
}

/** A signal that never aborts. */
export function calm(): AbortSignal {
  return new AbortController().signal;
}

export interface TestClient extends AsyncDisposable {
  readonly http: HttpClient;
}

export function openClient(options: Partial<HttpClientOptions> = {}): TestClient {
  const http = new HttpClient({ proxy: null, clock, ...options });
  return { http, [Symbol.asyncDispose]: () => http.close() };
}

/** Resolves `*.test` to 127.0.0.1, so that a test server can have a name that is not local. */
export const testNames: LookupFunction = (hostname, options, callback) => {
  systemLookup(hostname.endsWith(".test") ? "127.0.0.1" : hostname, options, callback);
};

export function runOf(overrides: Partial<RunSnapshot> = {}): RunSnapshot {
  return {
    id: "5e3f0d3c-0000-4000-8000-000000000001",
    automationId: "5e3f0d3c-0000-4000-8000-000000000002",
    userId: "user-1",
    orgId: "org-1",
    status: "RUNNING",
    stale: true,
    timeoutAt: "2026-08-22 10:00:00.123456+00",
    beganAt: null,
    firstDeadlineMs: 0,
    sandboxId: SANDBOX_ID,
    bashCommandId: COMMAND_ID,
    beganAtMs: 0,
    timeoutS: null,
    keepAlive: false,
    firstRunOpen: false,
    statusDetail: null,
    suspicion: null,
    isRemembered: false,
    readAt: "2026-08-22T10:00:00.123456+00:00",
    ...overrides,
  };
}

export function bashOutput(overrides: object = {}): object {
  const output = { kind: "BashOutput", command_id: COMMAND_ID, exit_code: 0 };
  return { id: "e1", order: 0, stdout: null, stderr: null, ...output, ...overrides };
}

/** As an agent server of an hour's age knows it. */
export function bashCommand(overrides: object = {}): object {
  const timestamp = new Date(Date.now() - 600_000).toISOString();
  return {
    kind: "BashCommand",
    id: COMMAND_ID,
    timestamp,
    command: "python main.py",
    ...overrides,
  };
}

/** One route for each call of the backend; each answers as a healthy system unless a test says otherwise. */
export interface Routes {
  readonly mint: Handler;
  readonly lookup: Handler;
  readonly search: Handler;
  readonly event: Handler;
  readonly info: Handler;
  readonly remove: Handler;
  readonly pause: Handler;
}

export interface CloudWorld extends AsyncDisposable {
  readonly server: HttpServer;
  readonly backend: Backend;
  /** How often each call was made. */
  calls(name: keyof Routes): number;
  readonly sandbox: (overrides?: object) => object;
}

export interface CloudSetup {
  readonly routes?: Partial<Routes>;
  readonly options?: Partial<OpenHandsCloudOptions>;
  readonly client?: Partial<HttpClientOptions>;
  /** The name under which the backend knows the app server. */
  readonly host?: string;
}

export async function cloudWorld(setup: CloudSetup = {}): Promise<CloudWorld> {
  await using started = new AsyncDisposableStack();
  const sandbox = (overrides: object = {}) => ({
    id: SANDBOX_ID,
    status: "RUNNING",
    session_api_key: "session-1",
    exposed_urls: [{ name: "AGENT_SERVER", url: `${server.origin}/agent/`, port: 60000 }],
    ...overrides,
  });
  const routes: Routes = {
    mint: (_, response) => sendJson(response, 200, { key: "sk-oh-1" }),
    lookup: (_, response) => sendJson(response, 200, [sandbox()]),
    search: (_, response) => sendJson(response, 200, { items: [bashOutput()], next_page_id: null }),
    event: (_, response) => sendJson(response, 200, bashCommand()),
    info: (_, response) => sendJson(response, 200, { uptime: 3600, idle_time: 600 }),
    remove: (_, response) => sendJson(response, 200, { success: true }),
    pause: (_, response) => sendJson(response, 200, { success: true }),
    ...setup.routes,
  };
  const server = started.use(
    await startHttpServer((request, response) => routes[routeOf(request)](request, response)),
  );
  const { http } = started.use(openClient(setup.client));
  const backend = openHandsCloudBackend({
    http,
    clock,
    baseUrl: `http://${setup.host ?? "127.0.0.1"}:${server.port}/`,
    serviceKey: fixed("service-key-1"),
    concurrency: 8,
    agentSlots: new SharedSlots(8),
    verifyTimeoutMs: 30_000,
    agentHosts: [],
    ...setup.options,
  });
  const opened = started.move();
  return {
    server,
    backend,
    sandbox,
    calls: (name) => server.requests.filter((request) => routeOf(request) === name).length,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function routeOf({ method, target }: SeenRequest): keyof Routes {
  if (method === "POST") return target.endsWith("/pause") ? "pause" : "mint";
  if (method === "DELETE") return "remove";
  if (target.endsWith("/server_info")) return "info";
  if (target.includes("/bash_events/search?")) return "search";
  return target.includes("/api/bash/") ? "event" : "lookup";
}

export async function verifyOnce(
  setup: CloudSetup,
  run: Partial<RunSnapshot> = {},
): Promise<{ readonly evidence: Evidence; readonly targets: readonly string[] }> {
  await using world = await cloudWorld(setup);
  const evidence = await world.backend.verify(runOf(run), calm());
  return { evidence, targets: world.server.requests.map(({ target }) => target) };
}

/** Answers the first request with the first of these, and so on; the last one stays. */
export function inTurn(...answers: readonly Handler[]): Handler {
  let next = 0;
  return (request, response) => {
    const answer = answers[Math.min(next, answers.length - 1)];
    next += 1;
    return answer?.(request, response);
  };
}

export function replying(status: number, body: unknown = {}): Handler {
  return (_, response) => sendJson(response, status, body);
}

/** Lets only this key pass. */
export function accepting(key: string, body: () => unknown): Handler {
  return (request, response) => {
    const accepted = request.headers.authorization === `Bearer ${key}`;
    sendJson(response, accepted ? 200 : 401, accepted ? body() : {});
  };
}

/** A route that never answers. */
export const silent: Handler = () => {};

/** A route that never answers, and at which time passes for whoever waits for it. */
export function silentFor(ms: number, clock: FakeClock): Handler {
  return () => clock.advance(ms);
}

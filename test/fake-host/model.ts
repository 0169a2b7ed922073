/** What the fake host knows and shows: sandboxes, the questions it was asked, the answers it gives. */
import type { IncomingHttpHeaders } from "node:http";

export type SandboxStatus = "STARTING" | "RUNNING" | "PAUSED" | "ERROR" | "MISSING";

export interface BashCommand {
  /** 32 hex digits. */
  readonly id: string;
  readonly command?: string;
  /** Seconds. */
  readonly timeout?: number;
  /** ISO 8601, UTC, up to microseconds. */
  readonly timestamp?: string;
}

export interface BashOutput {
  /** 32 hex digits; default: random. */
  readonly id?: string;
  readonly commandId: string;
  readonly exitCode: number | null;
  readonly stdout?: string | null;
  readonly stderr?: string | null;
  readonly order?: number;
  readonly timestamp?: string;
}

export interface Sandbox {
  readonly id: string;
  readonly userId: string;
  readonly orgId: string;
  readonly status: SandboxStatus;
  /** What the sandbox API reports; `null` where the caller may not see it. */
  readonly sessionKey: string | null;
  /** What the agent server demands when that is not what the API reports; `null`: it asks nobody. */
  readonly agentKey?: string | null;
  /** `null`: RUNNING without an AGENT_SERVER url. Default: the fake agent server of this sandbox. */
  readonly agentUrl?: string | null;
  /** Commands the agent server knows. Those that `outputs` name are known without being listed. */
  readonly commands: readonly BashCommand[];
  readonly outputs: readonly BashOutput[];
  /** Seconds since the agent server started. */
  readonly uptimeS: number;
  /** What the host knows of it is incomplete: it answers 500 to any look-up that names it, among others or alone. */
  readonly broken: boolean;
  /** The agent server still waits to be initialised and answers 503. */
  readonly initializing: boolean;
  /** Answers the first questions of the given kinds with 429. */
  readonly rateLimit: RateLimit | null;
}

export interface RateLimit {
  readonly first: number;
  readonly retryAfterS: number;
  /** Default: lookups only. */
  readonly kinds?: readonly RequestKind[];
}

export type RequestKind =
  | "mint"
  | "lookup"
  | "delete"
  | "pause"
  | "events"
  | "event"
  | "server-info"
  | "probe"
  | "other";

export interface SeenRequest {
  readonly kind: RequestKind;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The sandbox it is about, or the first of them; `null` for mints and for what names none. */
  readonly sandboxId: string | null;
  /** All of them: a look-up can name several. */
  readonly sandboxIds: readonly string[];
  /** Monotonic, as `performance.now()`. */
  readonly atMs: number;
}

/** A stream that throws breaks the connection in the middle of the body. */
export interface HttpReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | AsyncIterable<string | Uint8Array>;
}

/** `reset` breaks the connection at once, `silence` never answers. */
export type Reply = HttpReply | "reset" | "silence";

export const JSON_TYPE = { "content-type": "application/json" } as const;

export function json(status: number, value: unknown): HttpReply {
  return { status, headers: JSON_TYPE, body: JSON.stringify(value) };
}

export function html(status: number, title: string): HttpReply {
  return {
    status,
    headers: { "content-type": "text/html" },
    body: `<html><head><title>${status} ${title}</title></head><body><center><h1>${status} ${title}</h1></center></body></html>`,
  };
}

/** FastAPI's answer to a parameter it cannot take. */
export function unprocessable(where: string, name: string): HttpReply {
  return json(422, {
    detail: [{ type: "value_error", loc: [where, name], msg: "Input is not valid" }],
  });
}

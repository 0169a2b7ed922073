/** The questions that the backends put to servers of others, each with a way to answer it badly. */

import { genericHttpBackend } from "../../../../src/io/generic-http/generic-http.ts";
import type { CallName } from "../../../../src/io/http/call.ts";
import type { HttpClientOptions } from "../../../../src/io/http/client.ts";
import { agentServerBackend } from "../../../../src/io/openhands/agent-server.ts";
import type { Evidence, Failure } from "../../../../src/rules/model.ts";
import type { Backend } from "../../../../src/watchdog/ports.ts";
import { type Handler, startHttpServer } from "../../../services/http-server.ts";
import {
  bashOutput,
  COMMAND_ID,
  calm,
  clock,
  cloudWorld,
  fixed,
  openClient,
  type Routes,
  runOf,
  SANDBOX_ID,
} from "../../http/world.ts";

/** Stands in bodies and headers of hostile answers: never to be seen in what the worker says about them. */
export const TENANT_TEXT = "tenant-text-7Qz";

export interface AskOptions {
  readonly verifyTimeoutMs?: number;
  readonly client?: Partial<HttpClientOptions>;
}

export interface Place {
  /** `the look-up` */
  readonly name: string;
  readonly call: CallName;
  /** What an honest server answers. */
  readonly honest: unknown;
  /** What is learned from that. */
  readonly learned: Evidence;
  /** One verification with this answer to the question, and honest answers to all others. */
  ask(answer: Handler, options?: AskOptions): Promise<Evidence>;
}

/** `honest`: what an honest answer teaches. `what` follows source and operation in the message. */
export type Expected =
  | "honest"
  | { readonly kind: "learned"; readonly evidence: Evidence }
  | { readonly kind: "malformed"; readonly what: string; readonly statusCode?: number }
  | {
      readonly kind: "unreachable";
      readonly what: string;
      readonly failure: Failure["kind"];
      readonly statusCode?: number;
    };

export interface HostileCase {
  /** What comes, as the object of a sentence. */
  readonly name: string;
  readonly answer: (place: Place) => Handler;
  readonly expected: Expected;
  readonly options?: AskOptions;
}

/** The whole evidence, word for word. */
export function evidenceAt(place: Place, expected: Expected): Evidence {
  if (expected === "honest") return place.learned;
  if (expected.kind === "learned") return expected.evidence;
  const { source, operation } = place.call;
  const kind = expected.kind === "malformed" ? "unknown" : expected.failure;
  const failure: Failure = {
    source,
    operation,
    kind,
    statusCode: expected.statusCode ?? null,
    message: `${source} ${operation} ${expected.what}`,
    retryAfterMs: null,
  };
  // Without a key nothing can be said about any run, whatever came in its place.
  return { kind: place === MINT ? "unreachable" : expected.kind, failure };
}

const SUCCESS: Evidence = { kind: "exited", exitCode: 0, stdout: "", stderr: "" };
const HONEST_SEARCH = { items: [bashOutput()], next_page_id: null };

export const MINT: Place = {
  name: "the minting",
  call: { source: "service_api", operation: "mint_api_key" },
  honest: { key: "sk-oh-1", user_id: "user-1", org_id: "org-1", name: "automation" },
  learned: SUCCESS,
  ask: (answer, options) => askCloud("mint", answer, options),
};

export const LOOKUP: Place = {
  name: "the look-up",
  call: { source: "sandbox_api", operation: "get_sandbox" },
  honest: [{ id: SANDBOX_ID, status: "STARTING", session_api_key: null, exposed_urls: null }],
  learned: { kind: "starting" },
  ask: (answer, options) => askCloud("lookup", answer, options),
};

export const SEARCH: Place = {
  name: "the search",
  call: { source: "agent_server", operation: "bash_events_search" },
  honest: HONEST_SEARCH,
  learned: SUCCESS,
  ask: (answer, options) => askCloud("search", answer, options),
};

export const SHARED_SEARCH: Place = {
  name: "the search of a shared agent server",
  call: { source: "agent_server", operation: "bash_events_search" },
  honest: HONEST_SEARCH,
  learned: SUCCESS,
  ask: (answer, options = {}) =>
    askOne(answer, options, (common, origin) =>
      agentServerBackend({ ...common, baseUrl: origin, apiKey: fixed("agent-key-1") }),
    ),
};

export const VERIFY: Place = {
  name: "the verify endpoint",
  call: { source: "verify_endpoint", operation: "verify" },
  honest: { state: "succeeded", exit_code: 0, stdout: "", stderr: "" },
  learned: SUCCESS,
  ask: (answer, options = {}) =>
    askOne(answer, options, (common, origin) =>
      genericHttpBackend({
        ...common,
        verifyUrl: `${origin}/runs/{run_id}`,
        cleanupUrl: null,
        token: fixed("token-1"),
      }),
    ),
};

export const PLACES: readonly Place[] = [MINT, LOOKUP, SEARCH, SHARED_SEARCH, VERIFY];

/** What the questions carry: never to be seen in what the worker says. */
export const SECRETS: readonly string[] = [
  "service-key-1",
  "sk-oh-1",
  "session-1",
  "agent-key-1",
  "token-1",
];

/** Ids that stand in the questions' paths. */
export const IDS: readonly string[] = [SANDBOX_ID, COMMAND_ID, "user-1", "org-1"];

async function askCloud(
  route: keyof Routes,
  answer: Handler,
  options: AskOptions = {},
): Promise<Evidence> {
  const { client = {}, ...rest } = options;
  await using world = await cloudWorld({ routes: { [route]: answer }, options: rest, client });
  return await world.backend.verify(runOf(), calm());
}

async function askOne(
  answer: Handler,
  { client, verifyTimeoutMs = 30_000 }: AskOptions,
  open: (common: ReturnType<typeof commonOptions>, origin: string) => Backend,
): Promise<Evidence> {
  await using server = await startHttpServer(answer);
  await using opened = openClient(client);
  const backend = open(commonOptions(opened.http, verifyTimeoutMs), server.origin);
  return await backend.verify(runOf(), calm());
}

function commonOptions(http: ReturnType<typeof openClient>["http"], verifyTimeoutMs: number) {
  return { http, clock, concurrency: 16, verifyTimeoutMs };
}

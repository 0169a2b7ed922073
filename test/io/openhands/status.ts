/** One quiet command on the fake host's agent server, verified once, for the tests of what may have become of it. */

import { CallBudget } from "../../../src/io/http/call.ts";
import type { HttpClientOptions } from "../../../src/io/http/client.ts";
import { askForCommandStatus } from "../../../src/io/openhands/command-status.ts";
import type { Evidence } from "../../../src/rules/model.ts";
import { startFakeHost } from "../../fake-host/fake-host.ts";
import {
  json,
  type Reply,
  type RequestKind,
  type Sandbox,
  type SeenRequest,
} from "../../fake-host/model.ts";
import { COMMAND_ID, calm, openClient } from "../http/world.ts";

export const RUNNING: Evidence = { kind: "running", output: "none" };

export const UNKNOWN: Evidence = { kind: "gone", reason: "command-unknown" };

export const RESTARTED: Evidence = { kind: "gone", reason: "server-restarted" };

export interface StatusSetup {
  /** Default: the server is an hour old, and knows the command since ten minutes ago. */
  readonly sandbox?: Partial<Sandbox>;
  /** What is answered instead, by the kind of question. */
  readonly answers?: Partial<Record<RequestKind, Reply>>;
  /** As the row has it. */
  readonly commandId?: string;
  readonly sessionKey?: string | null;
  readonly client?: Partial<HttpClientOptions>;
  readonly budgetMs?: number;
  readonly signal?: AbortSignal;
  readonly onRequest?: (request: SeenRequest) => void;
}

export interface CommandStatus {
  readonly evidence: Evidence;
  readonly unauthorized: boolean;
  /** The kinds of questions, in their order. */
  readonly asked: string;
  readonly requests: readonly SeenRequest[];
}

export async function statusOf(setup: StatusSetup = {}): Promise<CommandStatus> {
  const { answers = {}, commandId = COMMAND_ID, sessionKey = "agent-key", signal = calm() } = setup;
  await using host = await startFakeHost();
  await using client = openClient(setup.client);
  const { id } = host.addSandbox({
    sessionKey: "agent-key",
    commands: [{ id: COMMAND_ID }],
    ...setup.sandbox,
  });
  host.intercept((request) => {
    setup.onRequest?.(request);
    return answers[request.kind];
  });
  const agentUrl = new URL(host.agentUrl(id));
  const search = { agentUrl, sessionKey, commandId, guarded: false };
  const budget = new CallBudget(setup.budgetMs ?? 30_000);
  const answer = await askForCommandStatus(
    (call) => client.http.request(call, budget, signal),
    search,
  );
  const { requests } = host;
  return { ...answer, asked: requests.map(({ kind }) => kind).join(" "), requests };
}

/** FastAPI's answer to what is not there. */
export const NOT_FOUND = json(404, { detail: "Not Found" });

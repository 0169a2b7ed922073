import { describe, expect, it } from "vitest";
import {
  type AgentServerOptions,
  agentServerBackend,
} from "../../../src/io/openhands/agent-server.ts";
import type { Evidence } from "../../../src/rules/model.ts";
import { type Handler, sendJson, startHttpServer } from "../../services/http-server.ts";
import { bashOutput, COMMAND_ID, calm, clock, fixed, openClient, runOf } from "../http/world.ts";

interface Setup {
  readonly options?: Partial<AgentServerOptions>;
  readonly bashCommandId?: string | null;
}

/** One verification against a server that answers like this. */
async function verify(handler: Handler, setup: Setup = {}) {
  await using server = await startHttpServer(handler);
  await using client = openClient();
  const backend = agentServerBackend({
    http: client.http,
    baseUrl: `${server.origin}/base/`,
    apiKey: fixed("agent-key"),
    clock,
    concurrency: 16,
    verifyTimeoutMs: 30_000,
    ...setup.options,
  });
  const { bashCommandId = COMMAND_ID } = setup;
  const run = runOf({ bashCommandId, sandboxId: null, userId: null, orgId: null });
  return { evidence: await backend.verify(run, calm()), requests: server.requests };
}

async function verifyItems(items: readonly unknown[]): Promise<Evidence> {
  const { evidence } = await verify((_, response) => sendJson(response, 200, { items }));
  return evidence;
}

describe("agentServerBackend.verify", () => {
  it("reads the largest answer that an agent server gives", async () => {
    const stream = "\u0001".repeat(1024 * 1024);
    const event = bashOutput({ exit_code: 9, stdout: stream, stderr: stream });
    const tail = "\u0001".repeat(4000);
    expect(await verifyItems([event])).toEqual({
      kind: "exited",
      exitCode: 9,
      stdout: tail,
      stderr: tail,
    });
  });

  it("searches for the newest output of the run's command, with the server's key", async () => {
    const { requests } = await verify((_, response) => {
      sendJson(response, 200, { items: [bashOutput()] });
    });
    expect(requests).toMatchObject([
      {
        method: "GET",
        target: `/base/api/bash/bash_events/search?kind__eq=BashOutput&command_id__eq=${COMMAND_ID}&sort_order=TIMESTAMP_DESC&limit=1`,
        headers: { "x-session-api-key": "agent-key" },
      },
    ]);
  });

  it("sends no key when there is none", async () => {
    const { requests } = await verify((_, response) => sendJson(response, 200, { items: [] }), {
      options: { apiKey: fixed(null) },
    });
    expect(requests[0]?.headers).not.toHaveProperty("x-session-api-key");
  });

  it("encodes a command id that is not what it should be", async () => {
    const { requests } = await verify((_, response) => sendJson(response, 200, { items: [] }), {
      bashCommandId: "a&limit=100#\ud800",
    });
    const query = new URL(requests[0]?.target ?? "", "http://x").searchParams;
    expect(query.get("command_id__eq")).toBe("a&limit=100#\ufffd");
    expect(query.getAll("limit")).toEqual(["1"]);
  });

  for (const bashCommandId of [null, ""]) {
    it(`asks nothing when the command id is ${JSON.stringify(bashCommandId)}`, async () => {
      const { evidence, requests } = await verify(() => {}, { bashCommandId });
      expect(evidence).toEqual({ kind: "no-command", sandbox: "not-asked" });
      expect(requests).toEqual([]);
    });
  }

  it("rejects with the reason of a signal that is aborted already", async () => {
    await using client = openClient();
    const backend = agentServerBackend({
      http: client.http,
      baseUrl: "http://127.0.0.1:9",
      apiKey: fixed(null),
      clock,
      concurrency: 16,
      verifyTimeoutMs: 30_000,
    });
    const reason = new Error("stopping");
    const run = runOf({ bashCommandId: null });
    await expect(backend.verify(run, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it("deletes nothing", async () => {
    await using client = openClient();
    const backend = agentServerBackend({
      http: client.http,
      baseUrl: "http://127.0.0.1:9",
      apiKey: fixed(null),
      clock,
      concurrency: 16,
      verifyTimeoutMs: 30_000,
    });
    expect(backend.cleans).toBe(false);
    const target = { sandboxId: "s", userId: null, orgId: null };
    expect(await backend.cleanup(target, calm())).toMatchObject({ kind: "failed" });
  });
});

interface EventCase {
  readonly name: string;
  readonly items: readonly unknown[];
  readonly expected: Evidence;
}

const DASHED = "01234567-89AB-CDEF-0123-456789ABCDEF";

const eventCases: readonly EventCase[] = [
  {
    name: "sees a running command when there is no output",
    items: [],
    expected: { kind: "running", output: "none" },
  },
  {
    name: "sees a running command when the newest output has no exit code",
    items: [bashOutput({ exit_code: null, stdout: "x" })],
    expected: { kind: "running", output: "partial" },
  },
  {
    name: "sees exit code 0 without output",
    items: [bashOutput()],
    expected: { kind: "exited", exitCode: 0, stdout: "", stderr: "" },
  },
  {
    name: "sees another exit code with its output",
    items: [bashOutput({ exit_code: 137, stdout: "out", stderr: "err\u0000" })],
    expected: { kind: "exited", exitCode: 137, stdout: "out", stderr: "err\u0000" },
  },
  {
    name: "sees exit code -1",
    items: [bashOutput({ exit_code: -1 })],
    expected: { kind: "exited", exitCode: -1, stdout: "", stderr: "" },
  },
  {
    name: "sees the largest exit code",
    items: [bashOutput({ exit_code: 2_147_483_647 })],
    expected: { kind: "exited", exitCode: 2_147_483_647, stdout: "", stderr: "" },
  },
  {
    name: "takes a command id with dashes and capitals for the same",
    items: [bashOutput({ command_id: DASHED })],
    expected: { kind: "exited", exitCode: 0, stdout: "", stderr: "" },
  },
  {
    name: "keeps an output of 4000 characters",
    items: [bashOutput({ stdout: `${"x".repeat(3999)}y` })],
    expected: { kind: "exited", exitCode: 0, stdout: `${"x".repeat(3999)}y`, stderr: "" },
  },
  {
    name: "keeps the last 4000 characters of a longer output, lone surrogates as well",
    items: [bashOutput({ stderr: `a${"x".repeat(3999)}\ud800` })],
    expected: { kind: "exited", exitCode: 0, stdout: "", stderr: `${"x".repeat(3999)}\ud800` },
  },
];

describe("agentServerBackend.verify reading an event", () => {
  for (const { name, items, expected } of eventCases) {
    it(name, async () => {
      expect(await verifyItems(items)).toEqual(expected);
    });
  }
});

const SHAPE = "answered with an unexpected shape";
const EVENT = "answered with an unexpected event";

const malformedBodies: readonly (readonly [name: string, body: unknown, what: string])[] = [
  ["null", null, SHAPE],
  ["a list", [], SHAPE],
  ["a text", "items", SHAPE],
  ["no items", {}, SHAPE],
  ["items that are null", { items: null }, SHAPE],
  ["more events than asked for", { items: [bashOutput(), bashOutput()] }, SHAPE],
  ["an event that is null", { items: [null] }, EVENT],
  ["another kind of event", { items: [bashOutput({ kind: "BashCommand" })] }, EVENT],
  ["an event without an exit code", { items: [bashOutput({ exit_code: undefined })] }, EVENT],
  ["an exit code that is a text", { items: [bashOutput({ exit_code: "0" })] }, EVENT],
  ["an exit code that is a flag", { items: [bashOutput({ exit_code: false })] }, EVENT],
  ["an exit code with a fraction", { items: [bashOutput({ exit_code: 0.5 })] }, EVENT],
  ["an exit code beyond 32 bits", { items: [bashOutput({ exit_code: 2_147_483_648 })] }, EVENT],
  ["an event without a command id", { items: [bashOutput({ command_id: undefined })] }, EVENT],
  ["an output that is no text", { items: [bashOutput({ stdout: ["x"] })] }, EVENT],
  [
    "an event about another command",
    { items: [bashOutput({ command_id: "f".repeat(32) })] },
    "answered about another command",
  ],
  [
    "an event about a longer command id",
    { items: [bashOutput({ command_id: `${COMMAND_ID}0` })] },
    "answered about another command",
  ],
];

describe("agentServerBackend.verify with a malformed answer", () => {
  for (const [name, body, what] of malformedBodies) {
    it(`cannot tell from ${name}`, async () => {
      const { evidence } = await verify((_, response) => sendJson(response, 200, body));
      expect(evidence).toEqual({
        kind: "malformed",
        failure: {
          source: "agent_server",
          operation: "bash_events_search",
          kind: "unknown",
          statusCode: null,
          message: `agent_server bash_events_search ${what}`,
          retryAfterMs: null,
        },
      });
    });
  }
});

interface StatusCase {
  readonly status: number;
  readonly evidence: "unreachable" | "malformed";
  readonly kind: string;
}

const statusCases: readonly StatusCase[] = [
  { status: 401, evidence: "unreachable", kind: "unknown" },
  { status: 403, evidence: "unreachable", kind: "unknown" },
  { status: 408, evidence: "unreachable", kind: "timeout" },
  { status: 429, evidence: "unreachable", kind: "rate_limited" },
  { status: 500, evidence: "unreachable", kind: "server_error" },
  { status: 501, evidence: "unreachable", kind: "server_error" },
  { status: 503, evidence: "unreachable", kind: "server_error" },
  { status: 599, evidence: "unreachable", kind: "server_error" },
  { status: 302, evidence: "malformed", kind: "unknown" },
  { status: 304, evidence: "malformed", kind: "unknown" },
  { status: 400, evidence: "malformed", kind: "unknown" },
  { status: 404, evidence: "malformed", kind: "unknown" },
  { status: 422, evidence: "malformed", kind: "unknown" },
  { status: 425, evidence: "malformed", kind: "unknown" },
];

describe("agentServerBackend.verify with another status", () => {
  for (const { status, evidence: expected, kind } of statusCases) {
    it(`finds HTTP ${status} ${expected}`, async () => {
      const { evidence } = await verify((_, response) => {
        sendJson(response, status, { detail: "tenant text" }, { "retry-after": "7" });
      });
      expect(evidence).toEqual({
        kind: expected,
        failure: {
          source: "agent_server",
          operation: "bash_events_search",
          kind,
          statusCode: status,
          message: `agent_server bash_events_search returned HTTP ${status}`,
          retryAfterMs: expected === "unreachable" ? 7_000 : null,
        },
      });
    });
  }

  it("asks once only, since no other key can be had", async () => {
    const { requests } = await verify((_, response) => sendJson(response, 401, {}));
    expect(requests).toHaveLength(1);
  });
});

import { describe, expect, it } from "vitest";
import {
  type GenericHttpOptions,
  genericHttpBackend,
} from "../../../src/io/generic-http/generic-http.ts";
import type { Evidence, RunSnapshot } from "../../../src/rules/model.ts";
import type { Backend } from "../../../src/watchdog/ports.ts";
import {
  type Handler,
  type HttpServer,
  sendJson,
  startHttpServer,
} from "../../services/http-server.ts";
import { calm, clock, fixed, openClient, runOf } from "../http/world.ts";

interface World extends AsyncDisposable {
  readonly server: HttpServer;
  readonly backend: Backend;
}

interface Paths {
  readonly verify?: string;
  readonly cleanup?: string | null;
  readonly token?: string | null;
}

async function world(handler: Handler, paths: Paths = {}): Promise<World> {
  await using started = new AsyncDisposableStack();
  const server = started.use(await startHttpServer(handler));
  const { http } = started.use(openClient());
  const { verify = "/runs/{run_id}", cleanup = null, token = "token-1" } = paths;
  const backend = genericHttpBackend({
    http,
    verifyUrl: `${server.origin}${verify}`,
    cleanupUrl: cleanup === null ? null : `${server.origin}${cleanup}`,
    token: fixed(token),
    clock,
    concurrency: 16,
    verifyTimeoutMs: 30_000,
  });
  const opened = started.move();
  return { server, backend, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

async function evidenceOf(status: number, body: unknown): Promise<Evidence> {
  await using opened = await world((_, response) => sendJson(response, status, body));
  return await opened.backend.verify(runOf(), calm());
}

async function targetOf(template: string, run: Partial<RunSnapshot>): Promise<string | undefined> {
  await using opened = await world((_, response) => sendJson(response, 200, {}), {
    verify: template,
  });
  await opened.backend.verify(runOf(run), calm());
  return opened.server.requests[0]?.target;
}

interface StateCase {
  readonly name: string;
  readonly body: object;
  readonly expected: Evidence;
}

const stateCases: readonly StateCase[] = [
  {
    name: "succeeded",
    body: { state: "succeeded" },
    expected: { kind: "exited", exitCode: 0, stdout: "", stderr: "" },
  },
  {
    name: "succeeded with exit code 0 and output",
    body: { state: "succeeded", exit_code: 0, stdout: "out", stderr: null },
    expected: { kind: "exited", exitCode: 0, stdout: "out", stderr: "" },
  },
  {
    name: "failed with an exit code",
    body: { state: "failed", exit_code: 3, stderr: "err", detail: "why" },
    expected: { kind: "exited", exitCode: 3, stdout: "", stderr: "err" },
  },
  {
    name: "failed without an exit code",
    body: { state: "failed", exit_code: null, detail: "why", stderr: "err" },
    expected: { kind: "failed", detail: "why", stdout: "", stderr: "err" },
  },
  {
    name: "failed without a word",
    body: { state: "failed" },
    expected: { kind: "failed", detail: "", stdout: "", stderr: "" },
  },
  {
    name: "failed with a detail that is too long",
    body: { state: "failed", detail: `a${"x".repeat(4000)}` },
    expected: { kind: "failed", detail: "x".repeat(4000), stdout: "", stderr: "" },
  },
  { name: "running", body: { state: "running" }, expected: { kind: "running", output: "partial" } },
  { name: "starting", body: { state: "starting" }, expected: { kind: "starting" } },
  {
    name: "lost",
    body: { state: "lost", detail: "evicted" },
    expected: { kind: "gone", reason: "lost", detail: "evicted" },
  },
  {
    name: "a state with fields nobody knows",
    body: { state: "starting", region: "eu" },
    expected: { kind: "starting" },
  },
];

const SHAPE = "answered with an unexpected shape";
const CONTRADICTION = "answered with a state and an exit code that contradict each other";

const malformedCases: readonly (readonly [name: string, body: unknown, what: string])[] = [
  ["success with exit code 1", { state: "succeeded", exit_code: 1 }, CONTRADICTION],
  ["failure with exit code 0", { state: "failed", exit_code: 0 }, CONTRADICTION],
  ["running with an exit code", { state: "running", exit_code: 0 }, CONTRADICTION],
  ["starting with an exit code", { state: "starting", exit_code: 1 }, CONTRADICTION],
  ["lost with an exit code", { state: "lost", exit_code: 1 }, CONTRADICTION],
  ["an unknown state", { state: "done" }, SHAPE],
  ["no state", {}, SHAPE],
  ["null", null, SHAPE],
  ["a list", [{ state: "running" }], SHAPE],
  ["an exit code that is a text", { state: "failed", exit_code: "1" }, SHAPE],
  ["an output that is no text", { state: "failed", stdout: 1 }, SHAPE],
];

describe("genericHttpBackend.verify", () => {
  for (const { name, body, expected } of stateCases) {
    it(`understands ${name}`, async () => {
      expect(await evidenceOf(200, body)).toEqual(expected);
    });
  }

  for (const [name, body, what] of malformedCases) {
    it(`cannot tell from ${name}`, async () => {
      expect(await evidenceOf(200, body)).toMatchObject({
        kind: "malformed",
        failure: { kind: "unknown", message: `verify_endpoint verify ${what}` },
      });
    });
  }

  const statuses = [
    { status: 201, kind: "malformed" },
    { status: 301, kind: "malformed" },
    { status: 400, kind: "malformed" },
    { status: 404, kind: "malformed" },
    { status: 401, kind: "unreachable" },
    { status: 403, kind: "unreachable" },
    { status: 408, kind: "unreachable" },
    { status: 429, kind: "unreachable" },
    { status: 502, kind: "unreachable" },
  ];
  for (const { status, kind } of statuses) {
    it(`finds HTTP ${status} ${kind}, whatever the body says`, async () => {
      expect(await evidenceOf(status, { state: "succeeded" })).toMatchObject({
        kind,
        failure: { statusCode: status, message: `verify_endpoint verify returned HTTP ${status}` },
      });
    });
  }

  it("sends the token as a bearer token", async () => {
    await using opened = await world((_, response) => sendJson(response, 200, {}));
    await opened.backend.verify(runOf(), calm());
    expect(opened.server.requests[0]?.headers.authorization).toBe("Bearer token-1");
  });

  it("sends no token when there is none", async () => {
    await using opened = await world((_, response) => sendJson(response, 200, {}), { token: null });
    await opened.backend.verify(runOf(), calm());
    expect(opened.server.requests[0]?.headers).not.toHaveProperty("authorization");
  });

  it("fills every placeholder, percent-encoded", async () => {
    const target = await targetOf("/r/{run_id}/s/{sandbox_id}?c={bash_command_id}&again={run_id}", {
      id: "a/b c",
      sandboxId: "../ü?#%",
      bashCommandId: "x&y=1",
    });
    expect(target).toBe("/r/a%2Fb%20c/s/..%2F%C3%BC%3F%23%25?c=x%26y%3D1&again=a%2Fb%20c");
  });

  it("puts nothing in place of ids that a run does not have", async () => {
    const run = { id: "r", sandboxId: null, bashCommandId: null };
    expect(await targetOf("/{run_id}?s={sandbox_id}&c={bash_command_id}", run)).toBe("/r?s=&c=");
  });

  it("asks nothing when an id would change the path", async () => {
    await using opened = await world((_, response) => sendJson(response, 200, {}), {
      verify: "/runs/{sandbox_id}/state",
    });
    expect(await opened.backend.verify(runOf({ sandboxId: ".." }), calm())).toMatchObject({
      kind: "malformed",
    });
    expect(opened.server.requests).toEqual([]);
  });

  it("rejects with the reason when it is aborted", async () => {
    await using opened = await world(() => {});
    const controller = new AbortController();
    const verifying = opened.backend.verify(runOf(), controller.signal);
    await opened.server.arrived(1);
    const reason = new Error("the lease was lost");
    controller.abort(reason);
    await expect(verifying).rejects.toBe(reason);
  });
});

describe("genericHttpBackend.cleanup", () => {
  const target = { sandboxId: "s/1", userId: null, orgId: null };
  const paths = { cleanup: "/sandboxes/{sandbox_id}" };

  it("deletes with the token, whatever the body says", async () => {
    await using opened = await world((_, response) => response.writeHead(204).end(), paths);
    expect(opened.backend.cleans).toBe(true);
    expect(await opened.backend.cleanup(target, calm())).toEqual({ kind: "deleted" });
    expect(opened.server.requests).toMatchObject([
      {
        method: "DELETE",
        target: "/sandboxes/s%2F1",
        headers: { authorization: "Bearer token-1" },
      },
    ]);
  });

  it("says of HTTP 404 that the sandbox is not known, which it may nevertheless be", async () => {
    await using opened = await world((_, response) => sendJson(response, 404, {}), paths);
    expect(await opened.backend.cleanup(target, calm())).toEqual({
      kind: "absent",
      failure: "verify_endpoint cleanup returned HTTP 404",
    });
  });

  for (const status of [302, 401, 403, 410, 500]) {
    it(`fails on HTTP ${status}`, async () => {
      await using opened = await world((_, response) => sendJson(response, status, {}), paths);
      expect(await opened.backend.cleanup(target, calm())).toEqual({
        kind: "failed",
        failure: `verify_endpoint cleanup returned HTTP ${status}`,
        retryAfterMs: null,
      });
    });
  }

  it("passes on how long to wait", async () => {
    await using opened = await world(
      (_, response) => sendJson(response, 429, {}, { "retry-after": "9" }),
      paths,
    );
    expect(await opened.backend.cleanup(target, calm())).toMatchObject({ retryAfterMs: 9_000 });
  });

  for (const sandboxId of ["", ".", ".."]) {
    it(`asks nothing for the sandbox id "${sandboxId}"`, async () => {
      await using opened = await world((_, response) => sendJson(response, 200, {}), paths);
      const result = await opened.backend.cleanup({ ...target, sandboxId }, calm());
      expect(result).toMatchObject({ kind: "failed" });
      expect(opened.server.requests).toEqual([]);
    });
  }

  it("cleans nothing without a URL for it", async () => {
    await using opened = await world(() => {});
    expect(opened.backend.cleans).toBe(false);
    expect(await opened.backend.cleanup(target, calm())).toMatchObject({ kind: "failed" });
    expect(opened.server.requests).toEqual([]);
  });
});

describe("genericHttpBackend", () => {
  const unusable: readonly (readonly [name: string, options: Partial<GenericHttpOptions>])[] = [
    ["a verify URL that is none", { verifyUrl: "runs/{run_id}" }],
    ["a verify URL with another scheme", { verifyUrl: "ftp://h.example/{run_id}" }],
    ["a placeholder as the host", { verifyUrl: "https://{sandbox_id}/x" }],
    ["a placeholder in the host", { verifyUrl: "https://{sandbox_id}.h.example/x" }],
    ["a placeholder in the port", { verifyUrl: "https://h.example:1{run_id}/x" }],
    ["a placeholder behind a backslash", { verifyUrl: "https:\\\\{sandbox_id}.h.example/x" }],
    ["a placeholder that is unknown", { verifyUrl: "https://h.example/{runid}" }],
    ["a placeholder that a clean-up does not know", { cleanupUrl: "https://h.example/{run_id}" }],
  ];
  for (const [name, options] of unusable) {
    it(`refuses ${name}`, async () => {
      await using client = openClient();
      const base = {
        http: client.http,
        verifyUrl: "https://h.example/",
        cleanupUrl: null,
        token: fixed(null),
        clock,
        concurrency: 16,
        verifyTimeoutMs: 30_000,
      };
      expect(() => genericHttpBackend({ ...base, ...options })).toThrow("the URL template must");
    });
  }
});

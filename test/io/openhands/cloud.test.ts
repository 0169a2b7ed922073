import { describe, expect, it } from "vitest";
import { type Handler, sendJson, startHttpServer } from "../../services/http-server.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import {
  bashOutput,
  type CloudSetup,
  COMMAND_ID,
  calm,
  cloudWorld,
  inTurn,
  replying,
  runOf,
  SANDBOX_ID,
  silent,
  silentFor,
  testNames,
  verifyOnce,
} from "../http/world.ts";

describe("openHandsCloudBackend.verify", () => {
  it("asks for a key, the sandbox and the command, each with its own secret", async () => {
    await using world = await cloudWorld();
    const evidence = await world.backend.verify(runOf(), calm());
    expect(evidence).toEqual({ kind: "exited", exitCode: 0, stdout: "", stderr: "" });
    expect(world.server.requests).toMatchObject([
      {
        method: "POST",
        target: "/api/service/users/user-1/orgs/org-1/api-keys",
        body: '{"name":"automation"}',
        headers: { "x-service-api-key": "service-key-1" },
      },
      {
        method: "GET",
        target: `/api/v1/sandboxes?id=${SANDBOX_ID}`,
        headers: { authorization: "Bearer sk-oh-1" },
      },
      {
        method: "GET",
        target: `/agent/api/bash/bash_events/search?kind__eq=BashOutput&command_id__eq=${COMMAND_ID}&sort_order=TIMESTAMP_DESC&limit=1`,
        headers: { "x-session-api-key": "session-1" },
      },
    ]);
    const [mint, lookup, search] = world.server.requests;
    expect(mint?.headers).not.toHaveProperty("authorization");
    expect(lookup?.headers).not.toHaveProperty("x-service-api-key");
    expect(search?.headers).not.toHaveProperty("authorization");
  });

  it("encodes ids that are not what they should be", async () => {
    const { targets } = await verifyOnce(
      { routes: { lookup: replying(200, null) } },
      { userId: "u/1?", orgId: "o 1", sandboxId: "s&id=2#" },
    );
    expect(targets).toEqual([
      "/api/service/users/u%2F1%3F/orgs/o%201/api-keys",
      "/api/v1/sandboxes?id=s%26id%3D2%23",
    ]);
  });

  for (const sandboxId of [null, ""]) {
    it(`asks nothing when the sandbox id is ${JSON.stringify(sandboxId)}`, async () => {
      const { evidence, targets } = await verifyOnce({}, { sandboxId });
      expect(evidence).toEqual({
        kind: "gone",
        reason: "no-sandbox-id",
      });
      expect(targets).toEqual([]);
    });
  }

  for (const missing of [{ userId: null }, { orgId: null }]) {
    it(`asks nothing with ${JSON.stringify(missing)}`, async () => {
      const { evidence, targets } = await verifyOnce({}, missing);
      expect(evidence).toMatchObject({
        kind: "malformed",
        failure: {
          source: "service_api",
          operation: "mint_api_key",
          message:
            "service_api mint_api_key was not sent: the automation has no user id or no org id",
        },
      });
      expect(targets).toEqual([]);
    });
  }

  for (const bashCommandId of [null, ""]) {
    it(`does not ask the sandbox when the command id is ${JSON.stringify(bashCommandId)}`, async () => {
      await using world = await cloudWorld();
      const evidence = await world.backend.verify(runOf({ bashCommandId }), calm());
      expect(evidence).toEqual({ kind: "no-command", sandbox: "running" });
      expect(world.calls("search")).toBe(0);
    });
  }

  it("tells that the sandbox is gone before it misses the command", async () => {
    const { evidence } = await verifyOnce(
      { routes: { lookup: replying(200, [null]) } },
      { bashCommandId: null },
    );
    expect(evidence).toMatchObject({ kind: "gone", reason: "no-record" });
  });
});

describe("openHandsCloudBackend.verify with a refused session key", () => {
  for (const status of [401, 403]) {
    it(`looks the sandbox up again on HTTP ${status} and uses its new key`, async () => {
      await using world = await cloudWorld({
        routes: {
          lookup: inTurn(
            (_, response) => sendJson(response, 200, [world.sandbox()]),
            (_, response) => sendJson(response, 200, [world.sandbox({ session_api_key: "new" })]),
          ),
          search: (request, response) => {
            const accepted = request.headers["x-session-api-key"] === "new";
            sendJson(response, accepted ? 200 : status, { items: [bashOutput({ exit_code: 7 })] });
          },
        },
      });
      expect(await world.backend.verify(runOf(), calm())).toMatchObject({ exitCode: 7 });
      expect(world.calls("lookup")).toBe(2);
      expect(world.calls("search")).toBe(2);
    });

    it(`does not ask again on HTTP ${status} when the key is still the same`, async () => {
      await using world = await cloudWorld({ routes: { search: replying(status) } });
      expect(await world.backend.verify(runOf(), calm())).toMatchObject({
        kind: "unreachable",
        failure: { source: "agent_server", kind: "unknown", statusCode: status },
      });
      expect(world.calls("lookup")).toBe(2);
      expect(world.calls("search")).toBe(1);
    });
  }

  it("asks again when the agent server moved", async () => {
    await using world = await cloudWorld({
      routes: {
        lookup: inTurn(
          (_, response) => sendJson(response, 200, [world.sandbox()]),
          (_, response) => {
            const exposed_urls = [{ name: "AGENT_SERVER", url: `${world.server.origin}/moved` }];
            sendJson(response, 200, [world.sandbox({ exposed_urls })]);
          },
        ),
        search: (request, response) => {
          const moved = request.target.startsWith("/moved/api/bash/");
          sendJson(response, moved ? 200 : 401, { items: [] });
        },
      },
    });
    expect(await world.backend.verify(runOf(), calm())).toEqual({
      kind: "running",
      output: "none",
    });
  });

  it("cannot tell when the new key is refused as well", async () => {
    let lookups = 0;
    await using world = await cloudWorld({
      routes: {
        lookup: (_, response) => {
          lookups += 1;
          sendJson(response, 200, [world.sandbox({ session_api_key: `session-${lookups}` })]);
        },
        search: replying(401),
      },
    });
    expect(await world.backend.verify(runOf(), calm())).toMatchObject({
      kind: "unreachable",
      failure: { source: "agent_server", statusCode: 401 },
    });
    expect(lookups).toBe(2);
    expect(world.calls("search")).toBe(2);
  });

  it("believes the second look-up when the sandbox is no longer running", async () => {
    await using world = await cloudWorld({
      routes: {
        lookup: inTurn(
          (_, response) => sendJson(response, 200, [world.sandbox()]),
          (_, response) => sendJson(response, 200, [world.sandbox({ status: "PAUSED" })]),
        ),
        search: replying(401),
      },
    });
    expect(await world.backend.verify(runOf(), calm())).toMatchObject({
      kind: "gone",
      reason: "paused",
    });
  });

  it("replaces the API key once, over both look-ups", async () => {
    await using world = await cloudWorld({
      routes: {
        lookup: inTurn(
          replying(401),
          (_, response) => sendJson(response, 200, [world.sandbox()]),
          replying(401),
        ),
        search: replying(401),
      },
    });
    expect(await world.backend.verify(runOf(), calm())).toMatchObject({
      kind: "unreachable",
      failure: { source: "sandbox_api", statusCode: 401 },
    });
    expect(world.calls("mint")).toBe(2);
    expect(world.calls("lookup")).toBe(3);
  });
});

const OF_SEARCH = "agent_server bash_events_search was not sent:";

function unreadable(message: string) {
  return { kind: "malformed", failure: { kind: "unknown", message } };
}

describe("openHandsCloudBackend.verify and where the session key goes", () => {
  /** What becomes of an agent server's url, when the API has a name that is not local. */
  async function verifyAt(agentUrl: (port: number) => string, setup: CloudSetup = {}) {
    await using world = await cloudWorld({
      host: "api.test",
      client: { lookup: testNames },
      routes: {
        lookup: (_, response) => {
          const url = agentUrl(world.server.port);
          const exposed_urls = [{ name: "AGENT_SERVER", url }];
          sendJson(response, 200, [world.sandbox({ exposed_urls })]);
        },
      },
      ...setup,
    });
    const evidence = await world.backend.verify(runOf(), calm());
    return { evidence, searches: world.calls("search") };
  }

  it("refuses an address of this host", async () => {
    const { evidence, searches } = await verifyAt((port) => `http://127.0.0.1:${port}`);
    expect(evidence).toMatchObject(unreadable(`${OF_SEARCH} the address is not allowed`));
    expect(searches).toBe(0);
  });

  it("refuses a name that resolves to an address of this host", async () => {
    const { evidence, searches } = await verifyAt((port) => `http://agent.test:${port}`);
    expect(evidence).toMatchObject(unreadable(`${OF_SEARCH} the address is not allowed`));
    expect(searches).toBe(0);
  });

  for (const host of ["127.0.0.1", "localhost"]) {
    it(`allows an address of this host when the API is on ${host}`, async () => {
      const { evidence } = await verifyAt((port) => `http://127.0.0.1:${port}`, { host });
      expect(evidence).toMatchObject({ kind: "exited" });
    });
  }

  it("allows a host that the operator named", async () => {
    const { evidence } = await verifyAt((port) => `http://agent.test:${port}`, {
      host: "127.0.0.1",
      options: { agentHosts: ["test"] },
    });
    expect(evidence).toMatchObject({ kind: "exited" });
  });

  it("refuses a host that the operator did not name", async () => {
    const { evidence, searches } = await verifyAt((port) => `http://agent.test:${port}`, {
      host: "127.0.0.1",
      options: { agentHosts: ["runtime.example"] },
    });
    expect(evidence).toMatchObject({ kind: "malformed" });
    expect(searches).toBe(0);
  });

  it("does not follow an agent server to another host", async () => {
    await using other = await startHttpServer((_, response) => sendJson(response, 200, {}));
    const search: Handler = (_, response) => {
      response.writeHead(307, { location: `${other.origin}/api/bash/bash_events/search` }).end();
    };
    const { evidence } = await verifyOnce({ routes: { search } });
    expect(evidence).toMatchObject(unreadable("agent_server bash_events_search returned HTTP 307"));
    expect(other.requests).toEqual([]);
  });
});

describe("openHandsCloudBackend.verify and time", () => {
  const steps = [
    { step: "mint", message: "service_api mint_api_key" },
    { step: "lookup", message: "sandbox_api get_sandbox" },
    { step: "search", message: "agent_server bash_events_search" },
  ] as const;
  for (const [index, { step, message }] of steps.entries()) {
    it(`ends at the deadline when ${step} does not answer`, async () => {
      const clock = new FakeClock();
      const { evidence } = await verifyOnce({
        routes: { [step]: silentFor(30_000, clock) },
        client: { clock },
      });
      expect(evidence).toMatchObject({
        kind: "unreachable",
        failure: {
          kind: "timeout",
          statusCode: null,
          message: `${message} timed out: no complete answer within 30000 ms`,
        },
      });
    });

    it(`rejects at once with the reason when it is aborted during ${step}`, async () => {
      await using world = await cloudWorld({ routes: { [step]: silent } });
      const controller = new AbortController();
      const verifying = world.backend.verify(runOf(), controller.signal);
      await world.server.arrived(index + 1);
      const reason = new Error("the lease was lost");
      controller.abort(reason);
      await expect(verifying).rejects.toBe(reason);
    });
  }

  it("rejects with the reason when it is aborted already, even with nothing to ask", async () => {
    await using world = await cloudWorld();
    const reason = new Error("stopping");
    const signal = AbortSignal.abort(reason);
    await expect(world.backend.verify(runOf({ sandboxId: null }), signal)).rejects.toBe(reason);
    await expect(
      world.backend.cleanup({ sandboxId: "s", userId: null, orgId: null }, signal),
    ).rejects.toBe(reason);
  });

  it("does not count the time that other runs keep the API busy", async () => {
    const clock = new FakeClock();
    await using world = await cloudWorld({
      routes: {
        lookup: inTurn(silentFor(30_000, clock), (_, response) =>
          sendJson(response, 200, [world.sandbox()]),
        ),
      },
      client: { clock },
      options: { concurrency: 1 },
    });
    const busy = world.backend.verify(runOf(), calm());
    const waiting = world.backend.verify(runOf({ userId: "user-2" }), calm());
    expect(await busy).toMatchObject({ kind: "unreachable", failure: { kind: "timeout" } });
    expect(await waiting).toMatchObject({ kind: "exited" });
  });
});

import { describe, expect, it } from "vitest";
import {
  type Handler,
  type HttpServer,
  sendJson,
  startHttpServer,
} from "../../services/http-server.ts";
import {
  bashOutput,
  type CloudWorld,
  calm,
  cloudWorld,
  inTurn,
  type Routes,
  replying,
  runOf,
} from "../http/world.ts";

const TARGET = { sandboxId: "s-1", userId: "user-1", orgId: "org-1" };

interface Servers extends AsyncDisposable {
  readonly api: HttpServer;
  readonly agent: HttpServer;
  readonly world: CloudWorld;
}

/** An API and an agent server on ports of their own. */
async function servers(
  routes: Partial<Routes> = {},
  agentAnswer: Handler = (_, response) => sendJson(response, 200, { items: [bashOutput()] }),
): Promise<Servers> {
  await using started = new AsyncDisposableStack();
  const agent = started.use(await startHttpServer(agentAnswer));
  const world: CloudWorld = started.use(
    await cloudWorld({
      routes: { lookup: (_, response) => sendJson(response, 200, [at(agent.origin)]), ...routes },
    }),
  );
  const at = (url: string) => world.sandbox({ exposed_urls: [{ name: "AGENT_SERVER", url }] });
  const opened = started.move();
  return {
    api: world.server,
    agent,
    world,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Which of the secrets a server was told, in whatever way. */
function told(server: HttpServer): readonly string[] {
  const text = JSON.stringify(server.requests);
  return ["service-key-1", "sk-oh-1", "sk-oh-2", "session-1", "session-2"].filter((secret) =>
    text.includes(secret),
  );
}

/** The names of the headers in which a server was told a secret, question by question. */
function secretHeaders(server: HttpServer): readonly string[] {
  const secret = ["x-service-api-key", "authorization", "x-session-api-key"];
  return server.requests.map(({ headers }) => secret.filter((name) => headers[name]).join("+"));
}

describe("openHandsCloudBackend and who is told which secret", () => {
  it("tells each server its own, one to a question", async () => {
    await using opened = await servers();
    await opened.world.backend.verify(runOf(), calm());
    await opened.world.backend.cleanup(TARGET, calm());
    expect(told(opened.api)).toEqual(["service-key-1", "sk-oh-1"]);
    expect(secretHeaders(opened.api)).toEqual([
      "x-service-api-key",
      "authorization",
      "authorization",
    ]);
    expect(told(opened.agent)).toEqual(["session-1"]);
    expect(secretHeaders(opened.agent)).toEqual(["x-session-api-key"]);
  });

  it("tells an agent server nothing but the session key when it is asked all there is", async () => {
    await using opened = await servers({}, (_, response) => sendJson(response, 200, { items: [] }));
    await opened.world.backend.verify(runOf(), calm());
    expect(opened.agent.requests.length).toBeGreaterThan(1);
    expect(told(opened.agent)).toEqual(["session-1"]);
  });

  for (const status of [401, 403, 407, 500, 511]) {
    it(`tells an agent server no other secret after ${status}`, async () => {
      await using opened = await servers({}, (_, response) => {
        response.writeHead(status, { "www-authenticate": "Bearer", "proxy-authenticate": "Basic" });
        response.end("{}");
      });
      await opened.world.backend.verify(runOf(), calm());
      expect(told(opened.agent)).toEqual(["session-1"]);
      expect(told(opened.api)).toEqual(["service-key-1", "sk-oh-1"]);
    });
  }

  it("tells the API keys alone after it has refused one", async () => {
    await using opened = await servers({
      mint: inTurn(replying(200, { key: "sk-oh-1" }), replying(200, { key: "sk-oh-2" })),
      lookup: replying(401),
    });
    await opened.world.backend.verify(runOf(), calm());
    expect(told(opened.api)).toEqual(["service-key-1", "sk-oh-1", "sk-oh-2"]);
    expect(secretHeaders(opened.api)).toEqual([
      "x-service-api-key",
      "authorization",
      "x-service-api-key",
      "authorization",
    ]);
    expect(told(opened.agent)).toEqual([]);
  });

  it("tells nobody the service key when minting leads elsewhere", async () => {
    await using other = await startHttpServer((_, response) => sendJson(response, 200, {}));
    await using opened = await servers({
      mint: (_, response) => response.writeHead(308, { location: other.origin }).end(),
    });
    await opened.world.backend.verify(runOf(), calm());
    await opened.world.backend.cleanup(TARGET, calm());
    expect(other.requests).toEqual([]);
    expect(told(opened.api)).toEqual(["service-key-1"]);
  });

  it("tells nobody the user's key when a deletion leads elsewhere", async () => {
    await using other = await startHttpServer((_, response) => sendJson(response, 200, {}));
    await using opened = await servers({
      remove: (_, response) => response.writeHead(307, { location: other.origin }).end(),
    });
    expect(await opened.world.backend.cleanup(TARGET, calm())).toEqual({
      kind: "failed",
      failure: "sandbox_api delete_sandbox returned HTTP 307",
      retryAfterMs: null,
    });
    expect(other.requests).toEqual([]);
  });

  it("keeps the API's secrets from an agent server that poses as the API", async () => {
    await using opened = await servers({
      lookup: (_, response) => {
        const exposed_urls = [{ name: "AGENT_SERVER", url: `${opened.api.origin}/agent/` }];
        sendJson(response, 200, [opened.world.sandbox({ exposed_urls })]);
      },
    });
    await opened.world.backend.verify(runOf(), calm());
    expect(secretHeaders(opened.api)).toEqual([
      "x-service-api-key",
      "authorization",
      "x-session-api-key",
    ]);
  });

  it("keeps what a server sets for later to itself", async () => {
    const cookie: Handler = (_, response) => {
      response.setHeader("set-cookie", "tracker=1; Path=/");
      sendJson(response, 200, { items: [bashOutput()] });
    };
    await using opened = await servers({}, cookie);
    await opened.world.backend.verify(runOf(), calm());
    await opened.world.backend.verify(runOf(), calm());
    expect(opened.agent.requests.map(({ headers }) => headers.cookie)).toEqual([
      undefined,
      undefined,
    ]);
  });
});

describe("openHandsCloudBackend and the sandboxes of several tenants", () => {
  it("tells each agent server its own session key, and asks it for its own command", async () => {
    const answer =
      (id: string): Handler =>
      (_, response) =>
        sendJson(response, 200, { items: [bashOutput({ command_id: id })] });
    const commands = ["a".repeat(32), "b".repeat(32)];
    await using first = await startHttpServer(answer(commands[0] ?? ""));
    await using second = await startHttpServer(answer(commands[1] ?? ""));
    await using world = await cloudWorld({
      routes: {
        mint: ({ target }, response) =>
          sendJson(response, 200, { key: target.includes("user-1") ? "sk-oh-1" : "sk-oh-2" }),
        lookup: ({ target }, response) => {
          const [id, url, key] = target.endsWith("s-1")
            ? ["s-1", first.origin, "session-1"]
            : ["s-2", second.origin, "session-2"];
          const exposed_urls = [{ name: "AGENT_SERVER", url }];
          const record = world.sandbox({ id, session_api_key: key, exposed_urls });
          sendJson(response, 200, [record]);
        },
      },
    });
    const runs = [
      runOf({ sandboxId: "s-1", userId: "user-1", bashCommandId: commands[0] ?? "" }),
      runOf({ sandboxId: "s-2", userId: "user-2", bashCommandId: commands[1] ?? "" }),
    ];
    const evidence = await Promise.all(runs.map((run) => world.backend.verify(run, calm())));
    expect(evidence.map(({ kind }) => kind)).toEqual(["exited", "exited"]);
    expect(told(first)).toEqual(["session-1"]);
    expect(told(second)).toEqual(["session-2"]);
    const lookups = world.server.requests.filter(({ target }) => target.includes("sandboxes"));
    const keys = lookups.map(({ target, headers }) => [target.slice(-3), headers.authorization]);
    expect(keys.toSorted()).toEqual([
      ["s-1", "Bearer sk-oh-1"],
      ["s-2", "Bearer sk-oh-2"],
    ]);
  });
});

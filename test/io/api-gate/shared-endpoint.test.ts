/** The backends whose runs all ask one server: it is "the API", and protected like one. */
import { describe, expect, it } from "vitest";
import { genericHttpBackend } from "../../../src/io/generic-http/generic-http.ts";
import type { HttpClient } from "../../../src/io/http/client.ts";
import { agentServerBackend } from "../../../src/io/openhands/agent-server.ts";
import type { Backend } from "../../../src/watchdog/ports.ts";
import { type Handler, sendJson, startHttpServer } from "../../services/http-server.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import { bashOutput, calm, fixed, inTurn, openClient, replying, runOf } from "../http/world.ts";
import { settleTraffic } from "../openhands/asking.ts";

interface Kind {
  readonly source: string;
  open(options: {
    readonly http: HttpClient;
    readonly clock: FakeClock;
    readonly origin: string;
    readonly concurrency: number;
    readonly verifyTimeoutMs: number;
  }): Backend;
  /** What a healthy server answers. */
  readonly healthy: Handler;
}

const GENERIC: Kind = {
  source: "verify_endpoint",
  open: ({ origin, ...options }) =>
    genericHttpBackend({
      ...options,
      verifyUrl: `${origin}/runs/{run_id}`,
      cleanupUrl: `${origin}/sandboxes/{sandbox_id}`,
      token: fixed("token-1"),
    }),
  healthy: (_, response) => sendJson(response, 200, { state: "succeeded" }),
};

const AGENT_SERVER: Kind = {
  source: "agent_server",
  open: ({ origin, ...options }) =>
    agentServerBackend({ ...options, baseUrl: origin, apiKey: fixed("key-1") }),
  healthy: (_, response) => sendJson(response, 200, { items: [bashOutput()] }),
};

interface Setup {
  readonly handler: Handler;
  readonly concurrency?: number;
}

async function worldOf(kind: Kind, setup: Setup) {
  await using started = new AsyncDisposableStack();
  const clock = new FakeClock();
  const server = started.use(await startHttpServer(setup.handler));
  const { http } = started.use(openClient({ clock }));
  const { concurrency = 16 } = setup;
  const { origin } = server;
  const backend = kind.open({ http, clock, origin, concurrency, verifyTimeoutMs: 30_000 });
  const opened = started.move();
  return {
    server,
    clock,
    backend,
    ask: (owner = 1) => backend.verify(runOf({ userId: `user-${owner}` }), calm()),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

for (const kind of [GENERIC, AGENT_SERVER]) {
  const { source, healthy } = kind;
  const failing = `${source} keeps failing, its circuit breaker is open`;

  describe(`the shared server of the ${source}`, () => {
    it("is not flooded while it answers 500, and asked again when it may have recovered", async () => {
      const down = Array.from({ length: 5 }, () => replying(500));
      await using world = await worldOf(kind, { handler: inTurn(...down, healthy) });
      for (let call = 0; call < 4; call += 1) await world.ask();
      expect(world.backend.api?.blockedReason).toBeNull();
      await world.ask();
      expect(world.backend.api).toMatchObject({ blockedReason: failing, breaker: "open" });
      for (let call = 0; call < 50; call += 1) {
        expect(await world.ask()).toEqual({ kind: "not-asked", reason: failing });
      }
      expect(world.server.requests).toHaveLength(5);
      await world.clock.advance(10_000);
      expect(await world.ask()).toMatchObject({ kind: "exited", exitCode: 0 });
      expect(world.backend.api).toMatchObject({ blockedReason: null, breaker: "closed" });
    });

    it("is not flooded while it answers nothing", async () => {
      await using world = await worldOf(kind, { handler: () => {} });
      const asked = [1, 2, 3, 4, 5].map(() => world.ask());
      await world.server.arrived(5);
      await world.clock.advance(30_000);
      await Promise.all(asked);
      expect(await world.ask()).toEqual({ kind: "not-asked", reason: failing });
      expect(world.server.requests).toHaveLength(5);
    });

    it("is not flooded when nobody is there", async () => {
      await using world = await worldOf(kind, { handler: healthy });
      await world.server[Symbol.asyncDispose]();
      for (let call = 0; call < 5; call += 1) {
        expect(await world.ask()).toMatchObject({ failure: { kind: "transport" } });
      }
      expect(world.backend.api?.blockedReason).toBe(failing);
      // Closed again when the world is.
      world.server.server.listen(0);
    });

    it("is asked less at once after a 429, and not before what it asks for", async () => {
      const limited: Handler = (_, response) =>
        sendJson(response, 429, {}, { "retry-after": "20" });
      await using world = await worldOf(kind, { handler: inTurn(limited, healthy) });
      await world.ask();
      const throttle = { pausedForMs: 20_000, concurrency: 8 };
      expect(world.backend.api?.throttle).toEqual(throttle);
      const reason = `${source} asked for a pause`;
      expect(await world.ask()).toEqual({ kind: "not-asked", reason });
      await world.clock.advance(20_000);
      expect(await world.ask()).toMatchObject({ kind: "exited" });
      expect(world.server.requests).toHaveLength(2);
    });

    it("is never asked more at once than configured", async () => {
      const gate = Promise.withResolvers<void>();
      const handler: Handler = async (request, response) => {
        await gate.promise;
        await healthy(request, response);
      };
      await using world = await worldOf(kind, { handler, concurrency: 3 });
      const asked = Array.from({ length: 9 }, () => world.ask());
      await world.server.arrived(3);
      await settleTraffic();
      expect(world.server.requests).toHaveLength(3);
      gate.resolve();
      await Promise.all(asked);
    });

    it("is stopped by a token that is refused for five owners, and not for one", async () => {
      await using world = await worldOf(kind, { handler: replying(401) });
      for (const owner of [1, 1, 1, 1, 1, 1, 2, 3, 4]) await world.ask(owner);
      expect(world.backend.api?.blockedReason).toBeNull();
      await world.ask(5);
      expect(world.backend.api?.blockedReason).toBe(failing);
    });

    it("does not mind answers that are malformed", async () => {
      await using world = await worldOf(kind, { handler: replying(200, "hello") });
      for (let call = 0; call < 9; call += 1) {
        expect(await world.ask()).toMatchObject({ kind: "malformed" });
      }
      expect(world.backend.api?.breaker).toBe("closed");
    });
  });
}

describe("genericHttpBackend.verify behind the gate", () => {
  it("takes no answer of another shape for a success", async () => {
    const failing = replying(500);
    const answers = [failing, failing, failing, failing, replying(200, { state: "odd" }), failing];
    await using world = await worldOf(GENERIC, { handler: inTurn(...answers) });
    for (let call = 0; call < 5; call += 1) await world.ask();
    expect(world.backend.api?.breaker).toBe("closed");
    await world.ask();
    expect(world.backend.api?.breaker).toBe("open");
  });
});

describe("genericHttpBackend.cleanup behind the gate", () => {
  const target = { sandboxId: "s", userId: null, orgId: null };

  async function cleanupWorld(verify: Handler, remove: Handler, separate: boolean) {
    await using started = new AsyncDisposableStack();
    const clock = new FakeClock();
    const handler: Handler = (request, response) =>
      (request.method === "DELETE" ? remove : verify)(request, response);
    const server = started.use(await startHttpServer(handler));
    const other = started.use(await startHttpServer(handler));
    const { http } = started.use(openClient({ clock }));
    const backend = genericHttpBackend({
      http,
      clock,
      concurrency: 16,
      verifyUrl: `${server.origin}/runs/{run_id}`,
      cleanupUrl: `${(separate ? other : server).origin}/sandboxes/{sandbox_id}`,
      token: fixed(null),
      verifyTimeoutMs: 30_000,
    });
    const opened = started.move();
    return { clock, backend, [Symbol.asyncDispose]: () => opened.disposeAsync() };
  }

  const healthy: Handler = (_, response) => sendJson(response, 200, { state: "running" });
  const pausing: Handler = (_, response) => sendJson(response, 503, {}, { "retry-after": "60" });

  it("waits as long as the endpoint asked for when it was verified", async () => {
    await using world = await cleanupWorld(pausing, replying(200), false);
    await world.backend.verify(runOf(), calm());
    await world.clock.advance(1_000);
    expect(await world.backend.cleanup(target, calm())).toMatchObject({
      kind: "not-asked",
      reason: "verify_endpoint asked for a pause",
      retryAfterMs: 59_000,
    });
  });

  it("does not mind what another host asks for, nor keeps runs from being verified", async () => {
    await using world = await cleanupWorld(healthy, pausing, true);
    expect(await world.backend.cleanup(target, calm())).toMatchObject({ retryAfterMs: 60_000 });
    expect(await world.backend.cleanup(target, calm())).toMatchObject({
      reason: "verify_endpoint asked for a pause",
    });
    expect(world.backend.api).toMatchObject({ blockedReason: null, throttle: { pausedForMs: 0 } });
    expect(await world.backend.verify(runOf(), calm())).toMatchObject({ kind: "running" });
  });

  it("stops after five failures, without keeping runs from being verified", async () => {
    await using world = await cleanupWorld(healthy, replying(500), false);
    for (let call = 0; call < 5; call += 1) await world.backend.cleanup(target, calm());
    expect(await world.backend.cleanup(target, calm())).toMatchObject({ retryAfterMs: 10_000 });
    expect(world.backend.api).toMatchObject({ blockedReason: null, breaker: "open" });
    expect(await world.backend.verify(runOf(), calm())).toMatchObject({ kind: "running" });
  });
});

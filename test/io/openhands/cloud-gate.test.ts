import { describe, expect, it } from "vitest";
import { type Handler, sendJson } from "../../services/http-server.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import { FAILING, PAUSED, PAUSED_ONE } from "../api-gate/gate-world.ts";
import { type CloudSetup, calm, cloudWorld, inTurn, replying, runOf } from "../http/world.ts";
import { settleTraffic } from "./asking.ts";

/** Real servers, and time that the test moves. */
async function gatedWorld(setup: CloudSetup = {}) {
  const clock = new FakeClock();
  const options = { clock, ...setup.options };
  const world = await cloudWorld({ ...setup, options, client: { clock } });
  const ask = (owner = 1) => world.backend.verify(runOf({ userId: `user-${owner}` }), calm());
  const remove = (owner = 1) =>
    world.backend.cleanup({ sandboxId: "s", userId: `user-${owner}`, orgId: "org-1" }, calm());
  return Object.assign(world, { clock, ask, remove });
}

/** Mints keys that are their owners' names, and refuses some of them. */
function refusing(isRefused: (owner: string) => boolean): NonNullable<CloudSetup["routes"]> {
  return {
    mint: ({ target }, response) => {
      const [, user = ""] = /users\/([^/]+)/.exec(target) ?? [];
      sendJson(response, 200, { key: user });
    },
    lookup: ({ headers }, response) => {
      const owner = headers.authorization?.replace("Bearer ", "") ?? "";
      sendJson(response, isRefused(owner) ? 401 : 200, isRefused(owner) ? {} : [null]);
    },
  };
}

describe("openHandsCloudBackend while the API keeps failing", () => {
  it("asks nothing after five failures, says so, and recovers by itself", async () => {
    await using world = await gatedWorld({
      routes: {
        lookup: inTurn(...Array.from({ length: 5 }, () => replying(502)), replying(200, [null])),
      },
    });
    const { backend, clock, server } = world;
    for (let call = 0; call < 4; call += 1) await world.ask();
    expect(backend.api?.blockedReason).toBeNull();
    expect(await world.ask()).toMatchObject({ kind: "unreachable" });
    expect(backend.api).toMatchObject({ blockedReason: FAILING, breaker: "open" });

    const asked = server.requests.length;
    expect(await world.ask()).toEqual({ kind: "not-asked", reason: FAILING });
    await clock.advance(4_000);
    expect(await world.remove()).toMatchObject({
      kind: "not-asked",
      reason: FAILING,
      retryAfterMs: 6_000,
    });
    expect(server.requests).toHaveLength(asked);

    await clock.advance(6_000);
    expect(await world.ask()).toMatchObject({ kind: "gone" });
    expect(backend.api).toMatchObject({ blockedReason: null, breaker: "closed" });
    expect(await world.remove()).toEqual({ kind: "deleted" });
  });

  it("leaves agent servers out of it", async () => {
    await using world = await gatedWorld({ routes: { search: replying(502) } });
    for (let call = 0; call < 9; call += 1) {
      expect(await world.ask()).toMatchObject({ failure: { source: "agent_server" } });
    }
    expect(world.backend.api?.breaker).toBe("closed");
  });

  it("is not opened by answers that are malformed, nor closed by them", async () => {
    const failing = replying(500);
    const strange = replying(200, { detail: "database is down" });
    await using world = await gatedWorld({
      routes: { lookup: inTurn(failing, failing, failing, failing, strange, strange, failing) },
    });
    for (let call = 0; call < 6; call += 1) await world.ask();
    expect(world.backend.api?.breaker).toBe("closed");
    await world.ask();
    expect(world.backend.api?.breaker).toBe("open");
  });

  it("goes on verifying while deletions fail", async () => {
    await using world = await gatedWorld({ routes: { remove: replying(500) } });
    for (let call = 0; call < 5; call += 1) {
      expect(await world.remove()).toMatchObject({ retryAfterMs: null });
    }
    expect(await world.remove()).toMatchObject({ reason: FAILING, retryAfterMs: 10_000 });
    expect(world.backend.api).toMatchObject({ blockedReason: null, breaker: "open" });
    expect(await world.ask()).toMatchObject({ kind: "exited" });
  });

  it("takes 404 to a deletion for an answer", async () => {
    const failing = replying(500);
    const answers = [failing, failing, failing, failing, replying(404), failing];
    await using world = await gatedWorld({ routes: { remove: inTurn(...answers) } });
    for (let call = 0; call < 9; call += 1) await world.remove();
    expect(world.backend.api?.breaker).toBe("closed");
    await world.remove();
    expect(world.backend.api?.breaker).toBe("open");
  });
});

describe("openHandsCloudBackend while keys cannot be minted", () => {
  it("goes on for runs whose key is known, and asks nothing for the others", async () => {
    await using world = await gatedWorld({
      routes: { mint: inTurn(replying(200, { key: "sk-oh-1" }), replying(503)) },
    });
    await world.ask(1);
    for (const owner of [2, 3, 4, 5, 6]) {
      expect(await world.ask(owner)).toMatchObject({ failure: { source: "service_api" } });
    }
    const reason = "service_api keeps failing, its circuit breaker is open";
    expect(await world.ask(7)).toEqual({ kind: "not-asked", reason });
    expect(await world.remove(7)).toMatchObject({ reason, retryAfterMs: 10_000 });
    expect(world.backend.api).toMatchObject({ blockedReason: null, breaker: "open" });
    expect(await world.ask(1)).toMatchObject({ kind: "exited" });
    expect(world.calls("mint")).toBe(6);
  });

  it("tries one key after ten seconds, and goes on with its success", async () => {
    const down = Array.from({ length: 5 }, () => replying(503));
    await using world = await gatedWorld({
      routes: { mint: inTurn(...down, replying(200, { key: "sk-oh-1" })) },
    });
    for (const owner of [1, 2, 3, 4, 5]) await world.ask(owner);
    await world.clock.advance(10_000);
    const asked = [1, 2, 3].map((owner) => world.ask(owner));
    for (const evidence of await Promise.all(asked)) expect(evidence.kind).toBe("exited");
    expect(world.backend.api?.breaker).toBe("closed");
  });

  it("takes no unusable key for a success", async () => {
    const failing = replying(500);
    const answers = [failing, failing, failing, failing, replying(200, {}), failing];
    await using world = await gatedWorld({ routes: { mint: inTurn(...answers) } });
    for (let call = 0; call < 5; call += 1) await world.ask();
    expect(world.backend.api?.breaker).toBe("closed");
    await world.ask();
    expect(world.backend.api?.breaker).toBe("open");
  });

  it("stops minting when the service key is refused for five owners", async () => {
    await using world = await gatedWorld({ routes: { mint: replying(401) } });
    for (const owner of [1, 1, 1, 1, 1, 2, 3, 4]) await world.ask(owner);
    expect(world.backend.api?.breaker).toBe("closed");
    await world.ask(5);
    expect(await world.ask(6)).toMatchObject({ kind: "not-asked" });
  });

  it("cannot tell, with the API's refusal, when there is no new key to be had", async () => {
    await using world = await gatedWorld({
      routes: {
        mint: inTurn(replying(200, { key: "sk-oh-1" }), replying(503)),
        lookup: inTurn(replying(200, [null]), replying(401)),
      },
    });
    await world.ask(1);
    for (const owner of [2, 3, 4, 5, 6]) await world.ask(owner);
    expect(await world.ask(1)).toMatchObject({
      kind: "unreachable",
      failure: { message: "sandbox_api get_sandbox returned HTTP 401" },
    });
  });
});

describe("openHandsCloudBackend while keys are refused", () => {
  it("is not stopped by one owner's key, however many runs have it", async () => {
    await using world = await gatedWorld({ routes: refusing((owner) => owner === "user-1") });
    for (let call = 0; call < 12; call += 1) {
      expect(await world.ask(1)).toMatchObject({ failure: { statusCode: 401 } });
    }
    expect(world.backend.api).toMatchObject({ blockedReason: null, breaker: "closed" });
    expect(await world.ask(2)).toMatchObject({ kind: "gone" });
  });

  it("is stopped when five owners in a row are refused, and not by four", async () => {
    await using world = await gatedWorld({ routes: refusing(() => true) });
    for (const owner of [1, 2, 2, 3, 1, 4]) await world.ask(owner);
    expect(world.backend.api?.blockedReason).toBeNull();
    await world.ask(5);
    expect(world.backend.api?.blockedReason).toBe(FAILING);
  });

  it("is not stopped by five owners among others that are let in", async () => {
    await using world = await gatedWorld({ routes: refusing((owner) => owner !== "user-9") });
    for (const owner of [1, 2, 3, 4, 9, 5, 6, 7, 8]) await world.ask(owner);
    expect(world.backend.api?.blockedReason).toBeNull();
  });

  it("counts owners whose key cannot even be minted anew", async () => {
    const known = Array.from({ length: 5 }, () => replying(200, { key: "sk-oh-1" }));
    const fine = Array.from({ length: 5 }, () => replying(200, [null]));
    await using world = await gatedWorld({
      routes: { mint: inTurn(...known, replying(503)), lookup: inTurn(...fine, replying(401)) },
    });
    for (const owner of [1, 2, 3, 4, 5]) await world.ask(owner);
    for (const owner of [1, 2, 3, 4]) await world.ask(owner);
    expect(world.backend.api?.blockedReason).toBeNull();
    await world.ask(5);
    expect(world.backend.api?.blockedReason).toBe(FAILING);
  });
});

describe("openHandsCloudBackend and Retry-After", () => {
  const inSeconds: Handler = (_, response) => sendJson(response, 503, {}, { "retry-after": "30" });
  const asDate: Handler = (_, response) =>
    sendJson(
      response,
      429,
      {},
      {
        date: "Sat, 22 Aug 2026 10:00:00 GMT",
        "retry-after": "Sat, 22 Aug 2026 10:00:30 GMT",
      },
    );
  for (const [name, answer] of [
    ["seconds", inSeconds],
    ["a date", asDate],
  ] as const) {
    it(`asks nothing of the owner's until ${name} have passed, and then goes on`, async () => {
      await using world = await gatedWorld({
        routes: { lookup: inTurn(answer, replying(200, [null])) },
      });
      await world.ask();
      const asked = world.server.requests.length;
      await world.clock.advance(20_000);
      expect(await world.ask()).toEqual({ kind: "not-asked", reason: PAUSED_ONE });
      expect(await world.remove()).toEqual({
        kind: "not-asked",
        reason: PAUSED_ONE,
        retryAfterMs: 10_000,
        everybody: false,
      });
      await world.clock.advance(5_000);
      const waiting = world.ask();
      await settleTraffic();
      expect(world.server.requests).toHaveLength(asked);
      await world.clock.advance(5_000);
      expect(await waiting).toMatchObject({ kind: "gone" });
    });
  }

  it("goes on for other owners, and for the next leader nothing is paused", async () => {
    await using world = await gatedWorld({
      routes: { lookup: inTurn(asDate, replying(200, [null])) },
    });
    await world.ask(1);
    expect(await world.ask(1)).toMatchObject({ kind: "not-asked" });
    expect(await world.ask(2)).toMatchObject({ kind: "gone" });
    expect(await world.remove(2)).toEqual({ kind: "deleted" });
    expect(world.backend.api).toMatchObject({ blockedReason: null, throttle: { pausedForMs: 0 } });
  });

  it("asks nothing of anybody's after three owners in a row were asked to wait, for at most five minutes", async () => {
    const lookup: Handler = (_, response) =>
      sendJson(response, 429, {}, { "retry-after": "86400" });
    await using world = await gatedWorld({ routes: { lookup } });
    for (const owner of [1, 2]) await world.ask(owner);
    expect(world.backend.api?.blockedReason).toBeNull();
    await world.ask(3);
    expect(world.backend.api).toMatchObject({
      blockedReason: PAUSED,
      throttle: { pausedForMs: 300_000 },
    });
    expect(await world.ask(4)).toEqual({ kind: "not-asked", reason: PAUSED });
  });

  it("heeds what a deletion is told, too, and takes what a minting is told for everybody's", async () => {
    await using deleting = await gatedWorld({ routes: { remove: inSeconds } });
    await deleting.remove(1);
    expect(await deleting.ask(1)).toEqual({ kind: "not-asked", reason: PAUSED_ONE });
    expect(await deleting.remove(2)).toMatchObject({ kind: "failed" });
    await using minting = await gatedWorld({ routes: { mint: inSeconds } });
    await minting.ask(1);
    expect(minting.backend.api?.blockedReason).toBe(PAUSED);
  });

  it("does not heed what a single sandbox's agent server asks for", async () => {
    await using world = await gatedWorld({ routes: { search: inSeconds } });
    await world.ask();
    expect(world.backend.api?.blockedReason).toBeNull();
  });
});

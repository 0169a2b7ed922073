import { describe, expect, it } from "vitest";
import { type Handler, sendJson } from "../../services/http-server.ts";
import { calm, cloudWorld, inTurn, replying, runOf, verifyOnce } from "../http/world.ts";

describe("openHandsCloudBackend.verify after minting", () => {
  for (const status of [302, 401, 403, 404, 429, 500, 503]) {
    it(`finds the service unreachable on HTTP ${status}`, async () => {
      const { evidence, targets } = await verifyOnce({ routes: { mint: replying(status) } });
      expect(evidence).toMatchObject({
        kind: "unreachable",
        failure: {
          source: "service_api",
          operation: "mint_api_key",
          statusCode: status,
          message: `service_api mint_api_key returned HTTP ${status}`,
        },
      });
      expect(targets).toHaveLength(1);
    });
  }

  const bodies = [null, [], {}, { key: null }, { key: "" }, { key: "a\nb" }, { key: 7 }, "key"];
  for (const body of bodies) {
    it(`finds the service unreachable on ${JSON.stringify(body)}`, async () => {
      const { evidence } = await verifyOnce({ routes: { mint: replying(200, body) } });
      expect(evidence).toMatchObject({
        kind: "unreachable",
        failure: { message: "service_api mint_api_key answered without a usable key" },
      });
    });
  }

  it("passes on how long to wait", async () => {
    const mint: Handler = (_, response) => sendJson(response, 429, {}, { "retry-after": "21" });
    const { evidence } = await verifyOnce({ routes: { mint } });
    expect(evidence).toMatchObject({
      failure: { kind: "rate_limited", retryAfterMs: 21_000 },
    });
  });

  it("mints once for runs of the same user, at the same time and later", async () => {
    const gate = Promise.withResolvers<void>();
    await using world = await cloudWorld({
      routes: {
        mint: async (_, response) => {
          await gate.promise;
          sendJson(response, 200, { key: "sk-oh-1" });
        },
      },
    });
    const verifying = [1, 2, 3].map(() => world.backend.verify(runOf(), calm()));
    await world.server.arrived(1);
    gate.resolve();
    await Promise.all(verifying);
    await world.backend.verify(runOf(), calm());
    await world.backend.cleanup({ sandboxId: "s", userId: "user-1", orgId: "org-1" }, calm());
    expect(world.calls("mint")).toBe(1);
    expect(world.calls("search")).toBe(4);
  });

  it("mints for each organisation of a user", async () => {
    await using world = await cloudWorld();
    await world.backend.verify(runOf(), calm());
    await world.backend.verify(runOf({ orgId: "org-2" }), calm());
    expect(world.calls("mint")).toBe(2);
  });

  it("shares a failed minting with those who wait, and mints again for the next run", async () => {
    const gate = Promise.withResolvers<void>();
    const failing: Handler = async (_, response) => {
      await gate.promise;
      sendJson(response, 500, {});
    };
    await using world = await cloudWorld({
      routes: { mint: inTurn(failing, replying(200, { key: "sk-oh-1" })) },
    });
    const verifying = [1, 2, 3].map(() => world.backend.verify(runOf(), calm()));
    await world.server.arrived(1);
    gate.resolve();
    for (const evidence of await Promise.all(verifying)) {
      expect(evidence).toMatchObject({ kind: "unreachable", failure: { kind: "server_error" } });
    }
    expect(await world.backend.verify(runOf(), calm())).toMatchObject({ kind: "exited" });
    expect(world.calls("mint")).toBe(2);
  });

  it("goes on minting for the others when the run that asked first is aborted", async () => {
    const gate = Promise.withResolvers<void>();
    await using world = await cloudWorld({
      routes: {
        mint: async (_, response) => {
          await gate.promise;
          sendJson(response, 200, { key: "sk-oh-1" });
        },
      },
    });
    const controller = new AbortController();
    const first = world.backend.verify(runOf(), controller.signal);
    const second = world.backend.verify(runOf(), calm());
    await world.server.arrived(1);
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(first).rejects.toBe(reason);
    gate.resolve();
    expect(await second).toMatchObject({ kind: "exited" });
    expect(world.calls("mint")).toBe(1);
  });
});

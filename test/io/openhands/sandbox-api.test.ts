import { describe, expect, it } from "vitest";
import { type Handler, sendJson } from "../../services/http-server.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import {
  accepting,
  calm,
  cloudWorld,
  inTurn,
  replying,
  runOf,
  silent,
  silentFor,
} from "../http/world.ts";
import { settleTraffic } from "./asking.ts";

describe("openHandsCloudBackend and the API's limit", () => {
  /** A world whose look-ups and deletions wait, and tell how many there are at once. */
  async function busyWorld() {
    const gate = Promise.withResolvers<void>();
    const busy = { now: 0, most: 0 };
    const counting =
      (answer: Handler): Handler =>
      async (request, response) => {
        busy.now += 1;
        busy.most = Math.max(busy.most, busy.now);
        await gate.promise;
        busy.now -= 1;
        await answer(request, response);
      };
    const world = await cloudWorld({
      routes: {
        mint: counting(replying(200, { key: "sk-oh-1" })),
        lookup: counting(replying(200, [null])),
        remove: counting(replying(200)),
      },
      options: { concurrency: 2 },
    });
    return { world, gate, busy };
  }

  it("never has more calls at once than allowed, minting and deleting included", async () => {
    const { world, gate, busy } = await busyWorld();
    await using _ = world;
    const owners = [1, 2, 3, 4].map((each) => ({ userId: `user-${each}`, orgId: "org-1" }));
    const work = owners.flatMap((owner) => [
      world.backend.verify(runOf(owner), calm()),
      world.backend.cleanup({ sandboxId: "s", ...owner }, calm()),
    ]);
    await world.server.arrived(2);
    await settleTraffic();
    expect(world.server.requests).toHaveLength(2);
    gate.resolve();
    const kinds = (await Promise.all(work)).map(({ kind }) => kind);
    expect(kinds).toEqual(owners.flatMap(() => ["gone", "deleted"]));
    expect(busy.most).toBe(2);
    expect(world.server.requests).toHaveLength(12);
  });

  it("lets aborted runs leave the queue at once, and asks nothing for them", async () => {
    const { world, gate } = await busyWorld();
    await using _ = world;
    const owners = [1, 2, 3, 4].map((each) => ({ userId: `user-${each}`, orgId: "org-1" }));
    const controller = new AbortController();
    const [first, second, ...queued] = owners.map((owner, index) =>
      world.backend.verify(runOf(owner), index < 2 ? calm() : controller.signal),
    );
    await world.server.arrived(2);
    const reason = new Error("the lease was lost");
    controller.abort(reason);
    for (const each of queued) await expect(each).rejects.toBe(reason);
    gate.resolve();
    expect(await first).toMatchObject({ kind: "gone" });
    expect(await second).toMatchObject({ kind: "gone" });
    expect(world.calls("lookup")).toBe(2);
  });

  it("does not limit calls to agent servers", async () => {
    const gate = Promise.withResolvers<void>();
    await using world = await cloudWorld({
      routes: {
        lookup: (_, response) => sendJson(response, 200, [world.sandbox({ id: null })]),
        search: async (_, response) => {
          await gate.promise;
          sendJson(response, 200, { items: [] });
        },
      },
      options: { concurrency: 1 },
    });
    const verifying = ["a", "b", "c"].map((sandboxId) =>
      world.backend.verify(runOf({ sandboxId }), calm()),
    );
    // One minting, three look-ups, and three searches at once.
    await world.server.arrived(7);
    gate.resolve();
    expect(await Promise.all(verifying)).toHaveLength(3);
  });
});

describe("openHandsCloudBackend.cleanup", () => {
  const target = { sandboxId: "a/b c", userId: "user-1", orgId: "org-1" };

  it("names the sandbox in the path and in the query", async () => {
    await using world = await cloudWorld();
    expect(await world.backend.cleanup(target, calm())).toEqual({ kind: "deleted" });
    expect(world.server.requests.at(-1)).toMatchObject({
      method: "DELETE",
      target: "/api/v1/sandboxes/a%2Fb%20c?sandbox_id=a%2Fb+c",
      headers: { authorization: "Bearer sk-oh-1" },
    });
  });

  it("takes a deletion without a body for one", async () => {
    const remove: Handler = (_, response) => response.writeHead(204).end();
    await using world = await cloudWorld({ routes: { remove } });
    expect(await world.backend.cleanup(target, calm())).toEqual({ kind: "deleted" });
  });

  it("mints anew and asks again when its key is refused", async () => {
    await using world = await cloudWorld({
      routes: {
        mint: inTurn(replying(200, { key: "old" }), replying(200, { key: "new" })),
        remove: accepting("new", () => ({ success: true })),
      },
    });
    expect(await world.backend.cleanup(target, calm())).toEqual({ kind: "deleted" });
    expect(world.calls("mint")).toBe(2);
  });

  it("asks twice at most", async () => {
    await using world = await cloudWorld({ routes: { remove: replying(403) } });
    expect(await world.backend.cleanup(target, calm())).toMatchObject({
      failure: "sandbox_api delete_sandbox returned HTTP 403",
    });
    expect(world.calls("remove")).toBe(2);
  });

  it("says of HTTP 404 that the sandbox is not known, which it may nevertheless be", async () => {
    await using world = await cloudWorld({ routes: { remove: replying(404) } });
    expect(await world.backend.cleanup(target, calm())).toEqual({
      kind: "absent",
      failure: "sandbox_api delete_sandbox returned HTTP 404",
    });
  });

  it("says nothing about the sandbox when it is the user that is not known", async () => {
    await using world = await cloudWorld({ routes: { mint: replying(404) } });
    expect(await world.backend.cleanup(target, calm())).toEqual({
      kind: "failed",
      failure: "service_api mint_api_key returned HTTP 404",
      retryAfterMs: null,
    });
  });

  for (const status of [302, 403, 409, 410, 500]) {
    it(`fails on HTTP ${status}`, async () => {
      await using world = await cloudWorld({ routes: { remove: replying(status) } });
      expect(await world.backend.cleanup(target, calm())).toEqual({
        kind: "failed",
        failure: `sandbox_api delete_sandbox returned HTTP ${status}`,
        retryAfterMs: null,
      });
    });
  }

  it("passes on how long to wait", async () => {
    const remove: Handler = (_, response) => sendJson(response, 429, {}, { "retry-after": "33" });
    await using world = await cloudWorld({ routes: { remove } });
    expect(await world.backend.cleanup(target, calm())).toMatchObject({ retryAfterMs: 33_000 });
  });

  it("fails at the deadline", async () => {
    const clock = new FakeClock();
    await using world = await cloudWorld({
      routes: { remove: silentFor(30_000, clock) },
      client: { clock },
    });
    expect(await world.backend.cleanup(target, calm())).toMatchObject({
      failure: "sandbox_api delete_sandbox timed out: no complete answer within 30000 ms",
    });
  });

  it("fails without a user id", async () => {
    await using world = await cloudWorld();
    const result = await world.backend.cleanup({ ...target, userId: null }, calm());
    expect(result).toMatchObject({ kind: "failed" });
    expect(world.server.requests).toEqual([]);
  });

  for (const sandboxId of ["", ".", ".."]) {
    it(`asks nothing for the sandbox id "${sandboxId}"`, async () => {
      await using world = await cloudWorld();
      const result = await world.backend.cleanup({ ...target, sandboxId }, calm());
      expect(result).toMatchObject({ kind: "failed" });
      expect(world.server.requests).toEqual([]);
    });
  }

  it("rejects at once with the reason when it is aborted", async () => {
    await using world = await cloudWorld({ routes: { remove: silent } });
    const controller = new AbortController();
    const deleting = world.backend.cleanup(target, controller.signal);
    await world.server.arrived(2);
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(deleting).rejects.toBe(reason);
  });
});

import { describe, expect, it } from "vitest";
import { calm, replying, runOf } from "../http/world.ts";
import {
  type BatchSetup,
  batchWorld,
  clocked,
  exits,
  idsOf,
  type Lookup,
  type Reply,
} from "./batch-world.ts";

const FIFTY = idsOf(50);

function failing(status: number): object {
  const message = `sandbox_api get_sandbox returned HTTP ${status}`;
  return { failure: { operation: "get_sandbox", statusCode: status, message } };
}

/** An app server that fails as a whole when one of these is among those asked for. */
function spoiltBy(bad: readonly string[], status = 500): NonNullable<BatchSetup["answer"]> {
  return ({ ids }) => (ids.some((id) => bad.includes(id)) ? { status } : undefined);
}

/** A server that answers about one sandbox only. */
function several(reply: Reply | "silence" | "reset"): NonNullable<BatchSetup["answer"]> {
  return ({ ids }) => (ids.length > 1 ? reply : undefined);
}

function isBatch({ ids }: Lookup): boolean {
  return ids.length > 1;
}

describe("a look-up of fifty that one bad sandbox spoils", () => {
  const cases: readonly { readonly name: string; readonly bad: readonly number[] }[] = [
    { name: "the first", bad: [0] },
    { name: "one in the middle", bad: [24] },
    { name: "the first of the second half", bad: [25] },
    { name: "the last", bad: [49] },
    { name: "the first and the last", bad: [0, 49] },
    { name: "two neighbours", bad: [30, 31] },
    { name: "one in each quarter", bad: [3, 20, 33, 48] },
  ];
  for (const { name, bad } of cases) {
    it(`leaves only that one without an answer: ${name}`, async () => {
      const ids = bad.map((index) => `s${index}`);
      await using world = await batchWorld({ answer: spoiltBy(ids) });
      const evidence = await world.verify(FIFTY);
      expect(evidence).toMatchObject(
        exits(FIFTY).map((exited, index) => (bad.includes(index) ? failing(500) : exited)),
      );
      expect(world.backend.api).toMatchObject({ blockedReason: null, breaker: "closed" });
      // Its two halves and so on: at most twelve more for one, and never more than one for each.
      expect(world.lookups.length).toBeLessThanOrEqual(bad.length === 1 ? 13 : 1 + 2 + 4 + 50);
    });
  }

  for (const status of [400, 408, 413, 414, 422, 431, 500, 502, 503, 504]) {
    it(`is halved after HTTP ${status}, down to the single look-up`, async () => {
      await using world = await batchWorld({ answer: spoiltBy(["s1"], status) });
      expect(await world.verify(idsOf(4))).toMatchObject(
        exits(idsOf(4)).map((exited, index) => (index === 1 ? failing(status) : exited)),
      );
      expect(world.lookups.map(({ ids }) => ids).toSorted()).toEqual(
        [["s0"], ["s0", "s1"], idsOf(4), ["s1"], ["s2", "s3"]].toSorted(),
      );
    });
  }

  it("opens no circuit, however often it is met", async () => {
    await using world = await batchWorld({ answer: spoiltBy(["s7"]) });
    for (let sweep = 0; sweep < 12; sweep += 1) {
      const evidence = await world.verify(FIFTY);
      expect(evidence.filter(({ kind }) => kind === "exited")).toHaveLength(49);
      expect(world.backend.api).toMatchObject({ blockedReason: null, breaker: "closed" });
    }
    expect(await world.verify(idsOf(2), "user-2")).toMatchObject(exits(idsOf(2)));
    expect(world.sizes().at(-1)).toBe(2);
  });

  it("is met by several users at once without a circuit that stops everybody", async () => {
    const users = [1, 2, 3, 4, 5, 6, 7, 8];
    // Each at another place, one call at a time: five of them in a row, by whatever chance, are an outage.
    const bad = users.map((user) => `s${user * 100 + user * 2}`);
    await using world = await batchWorld({ answer: spoiltBy(bad), options: { concurrency: 1 } });
    const evidence = await Promise.all(
      users.map((user) => world.verify(idsOf(20, user * 100), `user-${user}`)),
    );
    for (const ofUser of evidence) {
      expect(ofUser.filter(({ kind }) => kind === "exited")).toHaveLength(19);
    }
    expect(world.backend.api).toMatchObject({ blockedReason: null, breaker: "closed" });
  });

  it("goes on for those that are left when a run is aborted meanwhile", async () => {
    const gate = Promise.withResolvers<undefined>();
    await using world = await batchWorld({
      answer: async ({ ids }) => {
        if (ids.length === 4) return { status: 500 };
        await gate.promise;
        return undefined;
      },
    });
    const controller = new AbortController();
    const asked = idsOf(4).map((sandboxId, index) =>
      world.backend.verify(runOf({ sandboxId }), index === 0 ? controller.signal : calm()),
    );
    await world.server.arrived(4);
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(asked[0]).rejects.toBe(reason);
    gate.resolve(undefined);
    expect(await Promise.all(asked.slice(1))).toMatchObject(exits(idsOf(3, 1)));
  });
});

describe("look-ups of an API that is down", () => {
  it("cost few calls, and open the circuit", async () => {
    await using world = await batchWorld({ answer: () => ({ status: 503 }) });
    const evidence = await world.verify(FIFTY);
    for (const each of evidence) expect(each).toMatchObject(failing(503));
    // Of each kind five failures, and what is under way by then: two halves of each, and as many as go at once.
    expect(world.lookups.length).toBeLessThanOrEqual(1 + 2 * 4 + 4 + 8);
    expect(world.backend.api).toMatchObject({
      blockedReason: "sandbox_api keeps failing, its circuit breaker is open",
      breaker: "open",
    });
    const asked = world.lookups.length;
    for (const each of await world.verify(FIFTY)) expect(each.kind).toBe("not-asked");
    expect(world.lookups).toHaveLength(asked);
  });

  it("cost few calls when they are of many users", async () => {
    await using world = await batchWorld({ answer: () => ({ status: 503 }) });
    await Promise.all(
      idsOf(20).map((_, user) => world.verify(idsOf(50, user * 100), `user-${user}`)),
    );
    // As many of each kind as go at once, and once more what was on its way when the first failed.
    expect(world.lookups.length).toBeLessThanOrEqual(3 * 8);
    expect(world.backend.api?.breaker).toBe("open");
  });

  it("try one after ten seconds, and go together again with its success", async () => {
    let down = true;
    const setup = clocked({ answer: () => (down ? { status: 503 } : undefined) });
    await using world = await batchWorld(setup);
    await world.verify(FIFTY);
    await setup.clock.advance(10_000);
    const before = world.lookups.length;
    await world.verify(FIFTY);
    expect(world.lookups.length - before).toBeLessThanOrEqual(2);
    expect(world.backend.api?.breaker).toBe("open");
    down = false;
    await setup.clock.advance(20_000);
    const asked = world.lookups.length;
    expect(await world.verify(FIFTY)).toMatchObject(exits(FIFTY));
    expect(world.sizes().slice(asked)).toEqual([50]);
    expect(world.backend.api?.breaker).toBe("closed");
  });

  it("count once when nobody answers at all", async () => {
    const setup = clocked({ answer: () => "silence" });
    const { clock } = setup;
    await using world = await batchWorld(setup);
    const users = [1, 2, 3, 4, 5];
    const asking = users.map((user) => world.verify(idsOf(10, user * 100), `user-${user}`));
    await world.server.arrived(2 * users.length);
    expect(world.backend.api?.breaker).toBe("closed");
    await clock.advance(30_000);
    for (const each of (await Promise.all(asking)).flat()) {
      expect(each).toMatchObject({
        kind: "unreachable",
        failure: {
          operation: "get_sandbox",
          message: "sandbox_api get_sandbox timed out: no complete answer within 30000 ms",
        },
      });
    }
    expect(world.sizes()).toEqual([10, 10, 10, 10, 10]);
    expect(world.backend.api?.breaker).toBe("open");
  });
});

describe("a look-up of several that is refused", () => {
  it("is one call to the API's limit, and halves it once", async () => {
    await using world = await batchWorld({ answer: () => ({ status: 429 }) });
    for (const each of await world.verify(idsOf(20))) expect(each).toMatchObject(failing(429));
    expect(world.sizes()).toEqual([20]);
    expect(world.backend.api?.throttle.concurrency).toBe(4);
  });

  it("keeps to the pause it is asked for, with its user alone", async () => {
    const setup = clocked({
      answer: ({ user }) =>
        user === "user-1" ? { status: 429, headers: { "retry-after": "30" } } : undefined,
    });
    await using world = await batchWorld(setup);
    await world.verify(idsOf(20));
    const reason = "sandbox_api asked for a pause for one owner";
    for (const each of await world.verify(idsOf(20))) {
      expect(each).toEqual({ kind: "not-asked", reason });
    }
    expect(await world.verify(idsOf(3), "user-2")).toMatchObject(exits(idsOf(3)));
    expect(world.sizes()).toEqual([20, 3]);
  });

  it("stops to be halved when a pause is asked for in the middle, with what was heard before", async () => {
    await using world = await batchWorld(
      clocked({
        options: { concurrency: 1 },
        answer: ({ ids }) =>
          ids.length === 20 ? { status: 500 } : { status: 429, headers: { "retry-after": "30" } },
      }),
    );
    const evidence = await world.verify(idsOf(20));
    expect(evidence).toMatchObject([
      ...idsOf(10).map(() => failing(429)),
      ...idsOf(10).map(() => failing(500)),
    ]);
    expect(world.sizes()).toEqual([20, 10]);
  });

  for (const status of [401, 403]) {
    it(`gets another key once for all of them after HTTP ${status}`, async () => {
      let minted = 0;
      await using world = await batchWorld({
        answer: ({ user }) => (user === "key-2" ? undefined : { status }),
        routes: {
          mint: (_, response) => {
            minted += 1;
            response.end(JSON.stringify({ key: `key-${minted}` }));
          },
        },
      });
      expect(await world.verify(idsOf(20))).toMatchObject(exits(idsOf(20)));
      expect(world.sizes()).toEqual([20, 20]);
      expect(minted).toBe(2);
    });

    it(`is not halved when HTTP ${status} stays, and counts as one owner's`, async () => {
      await using world = await batchWorld({ answer: () => ({ status }) });
      for (const each of await world.verify(idsOf(20))) expect(each).toMatchObject(failing(status));
      expect(world.sizes()).toEqual([20, 20]);
      expect(world.backend.api?.breaker).toBe("closed");
      for (const user of [2, 3, 4]) await world.verify(idsOf(5), `user-${user}`);
      expect(world.backend.api?.breaker).toBe("closed");
      await world.verify(idsOf(5), "user-5");
      expect(world.backend.api?.breaker).toBe("open");
    });
  }
});

describe("look-ups of a server that cannot be asked about several", () => {
  const MINUTE_MS = 60_000;
  const replies: readonly (readonly [name: string, reply: Reply])[] = [
    ["HTTP 404", { status: 404 }],
    ["HTTP 405", { status: 405 }],
    ["a redirect", { status: 307, headers: { location: "/elsewhere" } }],
    ["an object", { status: 200, body: { items: [] } }],
    ["one record that is no list", { status: 200, body: { id: "s0", status: "RUNNING" } }],
    ["an empty list", { status: 200, body: [] }],
    ["null", { status: 200, body: null }],
    ["too much", { status: 200, body: Array.from({ length: 200_000 }, () => 12345) }],
  ];
  for (const [name, reply] of replies) {
    it(`go one by one after ${name}, for five minutes`, async () => {
      const setup = clocked({ answer: several(reply) });
      await using world = await batchWorld(setup);
      expect(await world.verify(idsOf(6))).toMatchObject(exits(idsOf(6)));
      expect(world.sizes()).toEqual([6, 1, 1, 1, 1, 1, 1]);
      await setup.clock.advance(5 * MINUTE_MS - 1);
      await world.verify(idsOf(6));
      expect(world.lookups.filter(isBatch)).toHaveLength(1);
      await setup.clock.advance(1);
      await world.verify(idsOf(6));
      expect(world.lookups.filter(isBatch)).toHaveLength(2);
      expect(world.backend.api).toMatchObject({ blockedReason: null, breaker: "closed" });
    });
  }

  it("say what came when they are not to be asked one by one either", async () => {
    const setup = clocked({
      answer: several({ status: 404, headers: { "retry-after": "30" } }),
    });
    await using world = await batchWorld(setup);
    for (const each of await world.verify(idsOf(6))) expect(each).toMatchObject(failing(404));
    expect(world.sizes()).toEqual([6]);
  });

  it("go one by one after one that was not answered in time", async () => {
    const setup = clocked({ answer: several("silence") });
    await using world = await batchWorld(setup);
    const first = world.verify(idsOf(6));
    await world.server.arrived(2);
    await setup.clock.advance(30_000);
    for (const each of await first) expect(each).toMatchObject({ failure: { kind: "timeout" } });
    expect(await world.verify(idsOf(6))).toMatchObject(exits(idsOf(6)));
    expect(world.sizes()).toEqual([6, 1, 1, 1, 1, 1, 1]);
  });

  it("go one by one after a connection that broke, for that user alone", async () => {
    await using world = await batchWorld({ answer: several("reset") });
    for (const each of await world.verify(idsOf(6))) {
      expect(each).toMatchObject({
        failure: { message: "sandbox_api get_sandbox transport error: UND_ERR_SOCKET" },
      });
    }
    expect(await world.verify(idsOf(6))).toMatchObject(exits(idsOf(6)));
    expect(world.sizes()).toEqual([6, 1, 1, 1, 1, 1, 1]);
    await world.verify(idsOf(5), "user-2");
    expect(world.sizes().at(-1)).toBe(5);
  });

  it("are never asked about more than fifty at once, which the oldest servers still answer", async () => {
    await using world = await batchWorld({
      answer: ({ ids }) => (ids.length >= 100 ? { status: 500 } : undefined),
      routes: { search: replying(404) },
    });
    await world.verify(idsOf(400));
    expect(Math.max(...world.sizes())).toBe(50);
    expect(world.lookups).toHaveLength(8);
  });
});

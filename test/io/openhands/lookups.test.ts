import { describe, expect, it } from "vitest";
import { observed } from "../../../src/io/http/observed.ts";
import { calm, clock, openClient, replying, runOf } from "../http/world.ts";
import { settleTraffic } from "./asking.ts";
import { type BatchSetup, batchWorld, clocked, exits, idsOf } from "./batch-world.ts";

/** A world whose look-ups wait until the test lets them go. */
async function heldWorld(setup: BatchSetup = {}) {
  const gate = Promise.withResolvers<undefined>();
  const world = await batchWorld({ answer: () => gate.promise, ...setup });
  return Object.assign(world, { release: () => gate.resolve(undefined) });
}

describe("look-ups of one user's sandboxes at the same time", () => {
  for (const [count, sizes] of [
    [1, [1]],
    [2, [2]],
    [49, [49]],
    [50, [50]],
    [51, [50, 1]],
    [120, [50, 50, 20]],
  ] as const) {
    it(`take ${sizes.length === 1 ? "one call" : `${sizes.length} calls`} for ${count}`, async () => {
      await using world = await batchWorld();
      const ids = idsOf(count);
      expect(await world.verify(ids)).toMatchObject(exits(ids));
      expect(world.sizes().toSorted((a, b) => b - a)).toEqual(sizes);
      expect(new Set(world.lookups.flatMap((lookup) => lookup.ids))).toEqual(new Set(ids));
      expect(world.calls("mint")).toBe(1);
    });
  }

  it("are asked for in the words of the single one, each id by itself", async () => {
    await using world = await batchWorld();
    await world.verify(["a&id=b", "s1"]);
    const targets = world.server.requests.map(({ target }) => target);
    expect(targets).toContain("/api/v1/sandboxes?id=a%26id%3Db&id=s1");
  });

  it("go together again when they come again", async () => {
    await using world = await batchWorld();
    for (let sweep = 0; sweep < 3; sweep += 1) await world.verify(idsOf(10));
    expect(world.sizes()).toEqual([10, 10, 10]);
  });

  it("are counted under a name of their own, which no run's answer has", async () => {
    await using client = openClient();
    const counted: string[] = [];
    const http = observed(client.http, clock, ({ operation, result }) =>
      counted.push(`${operation} ${result}`),
    );
    await using world = await batchWorld({
      options: { http },
      answer: ({ ids }) => (ids.includes("s1") ? { status: 429 } : undefined),
      routes: { search: replying(404) },
    });
    expect(await world.verify(["s1", "s2"])).toMatchObject([
      {
        failure: { operation: "get_sandbox", message: "sandbox_api get_sandbox returned HTTP 429" },
      },
      {
        failure: { operation: "get_sandbox", message: "sandbox_api get_sandbox returned HTTP 429" },
      },
    ]);
    await world.verify(["s3"]);
    expect(counted).toEqual([
      "mint_api_key ok",
      "batch_get_sandboxes rate_limited",
      "get_sandbox ok",
      "bash_events_search not_found",
    ]);
  });

  it("go together when they come one after the other while the API is busy", async () => {
    await using world = await heldWorld({ options: { concurrency: 1 } });
    const first = world.verify(["s0"]);
    await world.server.arrived(2);
    const later: Promise<readonly object[]>[] = [];
    for (const id of idsOf(30, 1)) {
      later.push(world.verify([id]));
      await new Promise(setImmediate);
    }
    await settleTraffic();
    expect(world.sizes()).toEqual([1]);
    world.release();
    expect(await first).toMatchObject(exits(["s0"]));
    expect((await Promise.all(later)).flat()).toMatchObject(exits(idsOf(30, 1)));
    expect(world.sizes()).toEqual([1, 30]);
  });

  it("are never mixed with another user's", async () => {
    await using world = await batchWorld({ options: { concurrency: 1 } });
    const users = [1, 2, 3, 4, 5].map((user) => ({
      user: `user-${user}`,
      ids: idsOf(20, user * 100),
    }));
    const evidence = await Promise.all(
      idsOf(20).map((_, index) =>
        Promise.all(users.map(({ user, ids }) => world.verify(ids.slice(index, index + 1), user))),
      ),
    );
    expect(evidence.flat(3).every(({ kind }) => kind === "exited")).toBe(true);
    const owners = new Map(users.flatMap(({ user, ids }) => ids.map((id) => [id, user])));
    for (const { ids, user } of world.lookups) {
      for (const id of ids) expect(owners.get(id)).toBe(user);
    }
    expect(world.lookups).toHaveLength(users.length);
  });

  it("are kept apart by organization: its key may see other things", async () => {
    await using world = await batchWorld();
    const orgs = ["org-1", "org-2"];
    await Promise.all(
      idsOf(4).map((sandboxId, index) =>
        world.backend.verify(runOf({ sandboxId, orgId: orgs[index % 2] ?? null }), calm()),
      ),
    );
    expect(world.lookups.map(({ ids }) => ids.toSorted())).toEqual([
      ["s0", "s2"],
      ["s1", "s3"],
    ]);
  });

  it("name a sandbox once that several runs are in", async () => {
    await using world = await batchWorld();
    const ids = ["s1", "s2", "s1", "s2", "s1"];
    expect(await world.verify(ids)).toMatchObject(exits(ids));
    expect(world.lookups.map((lookup) => lookup.ids)).toEqual([["s1", "s2"]]);
  });
});

describe("look-ups that go together, when a run is aborted", () => {
  const reason = new Error("stopping");

  function verifying(world: Awaited<ReturnType<typeof heldWorld>>, ids: readonly string[]) {
    return ids.map((sandboxId) => {
      const controller = new AbortController();
      const evidence = world.backend.verify(runOf({ sandboxId }), controller.signal);
      return { evidence, abort: () => controller.abort(reason) };
    });
  }

  for (const index of [0, 1, 2]) {
    it(`go on for the others when it is number ${index + 1} of three`, async () => {
      await using world = await heldWorld();
      const runs = verifying(world, idsOf(3));
      await world.server.arrived(2);
      runs[index]?.abort();
      await expect(runs[index]?.evidence).rejects.toBe(reason);
      world.release();
      const others = runs.filter((_, run) => run !== index).map(({ evidence }) => evidence);
      expect(await Promise.all(others)).toMatchObject(
        exits(idsOf(3).filter((_, run) => run !== index)),
      );
      expect(world.sizes()).toEqual([3]);
    });
  }

  it("are cut off when all of them are", async () => {
    const cut = Promise.withResolvers<void>();
    await using world = await heldWorld({
      routes: { lookup: (_, response) => response.once("close", () => cut.resolve()) },
    });
    const runs = verifying(world, idsOf(3));
    await world.server.arrived(2);
    for (const { abort } of runs) abort();
    for (const { evidence } of runs) await expect(evidence).rejects.toBe(reason);
    await cut.promise;
  });

  it("do not ask about it when they wait for their turn", async () => {
    await using world = await heldWorld({ options: { concurrency: 1 } });
    const first = world.verify(["s9"]);
    await world.server.arrived(2);
    const runs = verifying(world, idsOf(3));
    runs[1]?.abort();
    await expect(runs[1]?.evidence).rejects.toBe(reason);
    world.release();
    expect(await first).toMatchObject(exits(["s9"]));
    expect(await runs[0]?.evidence).toMatchObject({ exitCode: 0 });
    expect(await runs[2]?.evidence).toMatchObject({ exitCode: 2 });
    expect(world.lookups.map(({ ids }) => ids)).toEqual([["s9"], ["s0", "s2"]]);
  });

  it("are not sent when all of them are aborted before their turn, and later ones are", async () => {
    await using world = await heldWorld({ options: { concurrency: 1 } });
    const first = world.verify(["s9"]);
    await world.server.arrived(2);
    const runs = verifying(world, idsOf(3));
    for (const { abort } of runs) abort();
    for (const { evidence } of runs) await expect(evidence).rejects.toBe(reason);
    const later = world.verify(idsOf(2, 5));
    world.release();
    expect(await first).toMatchObject(exits(["s9"]));
    expect(await later).toMatchObject(exits(["s5", "s6"]));
    expect(world.lookups.map(({ ids }) => ids)).toEqual([["s9"], ["s5", "s6"]]);
  });
});

describe("look-ups that go together, and each run's own time", () => {
  it("end for a run whose time is up, and go on for those that have some left", async () => {
    const minting = Promise.withResolvers<void>();
    const setup = clocked({
      routes: {
        mint: async (_, response) => {
          await minting.promise;
          response.end('{"key": "sk-1"}');
        },
      },
    });
    const { clock } = setup;
    await using world = await heldWorld(setup);
    const early = world.verify(["s1"]);
    await world.server.arrived(1);
    await clock.advance(20_000);
    const late = world.verify(["s2"]);
    await settleTraffic();
    minting.resolve();
    await world.server.arrived(2);
    expect(world.sizes()).toEqual([2]);
    await clock.advance(10_000);
    expect(await early).toMatchObject([
      {
        kind: "unreachable",
        failure: {
          message: "sandbox_api get_sandbox timed out: no complete answer within 30000 ms",
        },
      },
    ]);
    await clock.advance(19_000);
    world.release();
    expect(await late).toMatchObject(exits(["s2"]));
    expect(world.sizes()).toEqual([2]);
  });

  it("cost every run the time of the call", async () => {
    const setup = clocked({ routes: { search: () => {} } });
    const { clock } = setup;
    await using world = await heldWorld(setup);
    const verifying = world.verify(idsOf(3));
    await world.server.arrived(2);
    await clock.advance(25_000);
    world.release();
    await world.server.arrived(5);
    await clock.advance(5_000);
    const late = { kind: "unreachable", failure: { source: "agent_server", kind: "timeout" } };
    expect(await verifying).toMatchObject([late, late, late]);
  });
});

import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/io/clock.ts";
import { sendJson } from "../../services/http-server.ts";
import { accepting, calm, cloudWorld, inTurn, replying, runOf } from "../http/world.ts";

describe("openHandsCloudBackend.verify with a refused API key", () => {
  for (const status of [401, 403]) {
    it(`mints anew and asks again on HTTP ${status}`, async () => {
      await using world = await cloudWorld({
        routes: {
          mint: inTurn(replying(200, { key: "old" }), replying(200, { key: "new" })),
          lookup: (request, response) => {
            const accepted = request.headers.authorization === "Bearer new";
            sendJson(response, accepted ? 200 : status, accepted ? [world.sandbox()] : {});
          },
        },
      });
      expect(await world.backend.verify(runOf(), calm())).toMatchObject({ kind: "exited" });
      expect(world.calls("mint")).toBe(2);
      expect(world.calls("lookup")).toBe(2);
    });

    it(`cannot tell after a second HTTP ${status}`, async () => {
      await using world = await cloudWorld({ routes: { lookup: replying(status) } });
      expect(await world.backend.verify(runOf(), calm())).toMatchObject({
        kind: "unreachable",
        failure: {
          source: "sandbox_api",
          kind: "unknown",
          statusCode: status,
          message: `sandbox_api get_sandbox returned HTTP ${status}`,
        },
      });
      expect(world.calls("mint")).toBe(2);
      expect(world.calls("lookup")).toBe(2);
    });
  }

  it("cannot tell when minting anew fails", async () => {
    await using world = await cloudWorld({
      routes: {
        mint: inTurn(replying(200, { key: "old" }), replying(503)),
        lookup: replying(401),
      },
    });
    expect(await world.backend.verify(runOf(), calm())).toMatchObject({
      kind: "unreachable",
      failure: { source: "service_api", kind: "server_error" },
    });
    expect(world.calls("lookup")).toBe(1);
  });

  it("mints anew once for a hundred runs with the same refused key", async () => {
    await using world = await cloudWorld({ routes: { lookup: replying(401) } });
    const runs = Array.from({ length: 50 }, () => runOf());
    const evidence = [
      ...(await Promise.all(runs.map((run) => world.backend.verify(run, calm())))),
      ...(await Promise.all(runs.map((run) => world.backend.verify(run, calm())))),
    ];
    expect(new Set(evidence.map(({ kind }) => kind))).toEqual(new Set(["unreachable"]));
    expect(world.calls("mint")).toBe(2);
  });

  it("does not ask again with a key that was minted anew a moment ago", async () => {
    await using world = await cloudWorld({ routes: { lookup: replying(401) } });
    await world.backend.verify(runOf(), calm());
    expect(world.calls("lookup")).toBe(2);
    await world.backend.verify(runOf(), calm());
    expect(world.calls("lookup")).toBe(3);
  });

  it("mints anew once in a verification, however long it takes", async () => {
    const time = { nowMs: 0 };
    const clock = { ...systemClock, now: () => new Date(0), monotonicMs: () => time.nowMs };
    await using world = await cloudWorld({
      client: { clock },
      options: { clock, verifyTimeoutMs: 400_000 },
      routes: {
        lookup: inTurn(
          replying(401),
          (_, response) => {
            time.nowMs += 100_000;
            sendJson(response, 200, [world.sandbox()]);
          },
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
  });

  it("uses the new key for the runs that come later", async () => {
    await using world = await cloudWorld({
      routes: {
        mint: inTurn(replying(200, { key: "old" }), replying(200, { key: "new" })),
        lookup: accepting("new", () => [world.sandbox()]),
      },
    });
    await world.backend.verify(runOf(), calm());
    await world.backend.verify(runOf(), calm());
    expect(world.calls("mint")).toBe(2);
    expect(world.calls("lookup")).toBe(3);
  });
});

describe("openHandsCloudBackend.verify and what it pays for minting", () => {
  /** 400 s for a verification, on a clock that only the answers move. */
  async function payingWorld(mintMs: number) {
    const time = { nowMs: 0 };
    const clock = { ...systemClock, now: () => new Date(0), monotonicMs: () => time.nowMs };
    const world = await cloudWorld({
      client: { clock },
      options: { clock, verifyTimeoutMs: 400_000 },
      routes: {
        mint: (_, response) => {
          time.nowMs += mintMs;
          sendJson(response, 200, { key: "sk-oh-1" });
        },
        lookup: (_, response) => {
          time.nowMs += 100_000;
          sendJson(response, 200, [world.sandbox()]);
        },
      },
    });
    return world;
  }

  it("asks the sandbox with the time that minting and look-up leave", async () => {
    await using world = await payingWorld(200_000);
    expect(await world.backend.verify(runOf(), calm())).toMatchObject({ kind: "exited" });
  });

  it("is timed out when minting and look-up leave none", async () => {
    await using world = await payingWorld(300_000);
    expect(await world.backend.verify(runOf(), calm())).toMatchObject({
      kind: "unreachable",
      failure: { source: "agent_server", kind: "timeout" },
    });
    expect(world.calls("search")).toBe(0);
  });

  it("pays nothing for a key that is there", async () => {
    await using world = await payingWorld(300_000);
    await world.backend.verify(runOf(), calm());
    expect(await world.backend.verify(runOf(), calm())).toMatchObject({ kind: "exited" });
  });
});

import { describe, expect, it } from "vitest";
import { sendJson } from "../../services/http-server.ts";
import { type CloudSetup, calm, cloudWorld, inTurn, replying, runOf } from "../http/world.ts";

/** A world whose look-ups wait until the test lets them go. */
async function heldWorld(
  answer: NonNullable<CloudSetup["routes"]>["lookup"] = replying(200, [null]),
) {
  const gate = Promise.withResolvers<void>();
  const world = await cloudWorld({
    routes: {
      lookup: async (request, response) => {
        await gate.promise;
        await answer(request, response);
      },
    },
  });
  return Object.assign(world, { release: () => gate.resolve() });
}

describe("openHandsCloudBackend.verify of runs in the same sandbox", () => {
  it("looks the sandbox up once for runs that ask at the same time", async () => {
    await using world = await heldWorld();
    const asked = [1, 2, 3].map(() => world.backend.verify(runOf(), calm()));
    await world.server.arrived(2);
    world.release();
    for (const evidence of await Promise.all(asked)) {
      expect(evidence).toMatchObject({ kind: "gone", reason: "no-record" });
    }
    expect(world.calls("lookup")).toBe(1);
  });

  it("looks it up again for a run that asks later", async () => {
    await using world = await cloudWorld();
    await world.backend.verify(runOf(), calm());
    await world.backend.verify(runOf(), calm());
    expect(world.calls("lookup")).toBe(2);
  });

  it("looks it up for each owner, who may see different things", async () => {
    await using world = await heldWorld();
    const owners = [{ userId: "user-2" }, { orgId: "org-2" }, {}];
    const asked = owners.map((owner) => world.backend.verify(runOf(owner), calm()));
    await world.server.arrived(6);
    world.release();
    await Promise.all(asked);
    expect(world.calls("lookup")).toBe(3);
  });

  it("goes on for the others when the run that asked first is aborted", async () => {
    await using world = await heldWorld();
    const controller = new AbortController();
    const first = world.backend.verify(runOf(), controller.signal);
    await world.server.arrived(2);
    const second = world.backend.verify(runOf(), calm());
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(first).rejects.toBe(reason);
    world.release();
    expect(await second).toMatchObject({ kind: "gone" });
    expect(world.calls("lookup")).toBe(1);
  });

  it("cuts the look-up off when the last run is aborted", async () => {
    const cut = Promise.withResolvers<void>();
    await using world = await cloudWorld({
      routes: { lookup: (_, response) => response.once("close", () => cut.resolve()) },
    });
    const controller = new AbortController();
    const asked = [1, 2].map(() => world.backend.verify(runOf(), controller.signal));
    await world.server.arrived(2);
    const reason = new Error("stopping");
    controller.abort(reason);
    for (const each of asked) await expect(each).rejects.toBe(reason);
    await cut.promise;
  });

  it("repeats the question once for all of them when a key was renewed", async () => {
    await using world = await cloudWorld({
      routes: {
        mint: inTurn(replying(200, { key: "old" }), replying(200, { key: "new" })),
        lookup: ({ headers }, response) => {
          const accepted = headers.authorization === "Bearer new";
          sendJson(response, accepted ? 200 : 401, accepted ? [null] : {});
        },
      },
    });
    const asked = [1, 2, 3].map(() => world.backend.verify(runOf(), calm()));
    for (const evidence of await Promise.all(asked)) expect(evidence.kind).toBe("gone");
    expect(world.calls("lookup")).toBe(2);
    expect(world.calls("mint")).toBe(2);
  });

  it("cuts a minting off when nobody waits for the key any more", async () => {
    const cut = Promise.withResolvers<void>();
    await using world = await cloudWorld({
      routes: { mint: (_, response) => response.once("close", () => cut.resolve()) },
    });
    const controller = new AbortController();
    const asked = world.backend.verify(runOf(), controller.signal);
    await world.server.arrived(1);
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    await cut.promise;
  });
});

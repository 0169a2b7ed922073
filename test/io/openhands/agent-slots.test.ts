import { describe, expect, it } from "vitest";
import { SharedSlots } from "../../../src/watchdog/concurrency/shared-slots.ts";
import { sendJson } from "../../services/http-server.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import { bashOutput, calm, cloudWorld, runOf } from "../http/world.ts";
import { settleTraffic } from "./asking.ts";

/** Agent servers that answer when they are let, of which two may be asked at once. */
async function heldWorld(clock?: FakeClock) {
  const held: (() => void)[] = [];
  const world = await cloudWorld({
    routes: {
      lookup: ({ target }, response) => {
        const ids = new URL(target, world.server.origin).searchParams.getAll("id");
        sendJson(
          response,
          200,
          ids.map((id) => world.sandbox({ id })),
        );
      },
      search: async (_, response) => {
        await new Promise<void>((resolve) => held.push(resolve));
        sendJson(response, 200, { items: [bashOutput()], next_page_id: null });
      },
    },
    ...(clock && { client: { clock } }),
    options: { agentSlots: new SharedSlots(2), ...(clock && { clock }) },
  });
  const ask = (sandboxId: string, signal = calm()) =>
    world.backend.verify(runOf({ sandboxId }), signal);
  const answer = () => held.shift()?.();
  return Object.assign(world, { ask, answer });
}

describe("openHandsCloudBackend and the limit of agent servers", () => {
  it("looks sandboxes up whose agent servers have to wait for their turn", async () => {
    await using world = await heldWorld();
    const asking = ["a", "b", "c", "d"].map((id) => world.ask(id));
    // One minting, one look-up for all, two questions.
    await world.server.arrived(4);
    await settleTraffic();
    expect(world.server.requests).toHaveLength(4);
    world.answer();
    await world.server.arrived(5);
    await settleTraffic();
    expect(world.calls("search")).toBe(3);
    world.answer();
    await world.server.arrived(6);
    world.answer();
    world.answer();
    const kinds = (await Promise.all(asking)).map(({ kind }) => kind);
    expect(kinds).toEqual(["exited", "exited", "exited", "exited"]);
  });

  it("lets an aborted run leave the queue at once, and asks nothing for it", async () => {
    await using world = await heldWorld();
    const asking = ["a", "b"].map((id) => world.ask(id));
    await world.server.arrived(4);
    const controller = new AbortController();
    const queued = world.ask("c", controller.signal);
    await world.server.arrived(5);
    await settleTraffic();
    const reason = new Error("the lease was lost");
    controller.abort(reason);
    await expect(queued).rejects.toBe(reason);
    world.answer();
    world.answer();
    await Promise.all(asking);
    expect(world.calls("search")).toBe(2);
  });

  it("does not count the time of waiting as the run's own", async () => {
    const clock = new FakeClock();
    await using world = await heldWorld(clock);
    const first = ["a", "b"].map((id) => world.ask(id));
    await world.server.arrived(4);
    const queued = world.ask("c");
    await world.server.arrived(5);
    await settleTraffic();
    // All that a verification may take: those in front of it have no more time.
    await clock.advance(30_000);
    for (const each of first) expect(await each).toMatchObject({ kind: "unreachable" });
    await world.server.arrived(6);
    world.answer();
    world.answer();
    world.answer();
    expect(await queued).toMatchObject({ kind: "exited" });
  });
});

import type { ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { sendJson } from "../../support/http-server.ts";
import { settleTraffic } from "./asking.ts";
import { calm, cloudWorld, runOf } from "./world.ts";

const RUNS = 60;
/** As many as a sweep verifies at once. */
const WORKERS = 16;

/** An API that lets look-ups wait until the test answers all of them together, as one round. */
async function stormWorld() {
  const clock = new FakeClock();
  const waiting: ServerResponse[] = [];
  const world = await cloudWorld({
    client: { clock },
    options: { clock, apiConcurrency: 8 },
    routes: { lookup: (_, response) => waiting.push(response) },
  });
  return Object.assign(world, {
    clock,
    waiting,
    /** What has arrived when no more is on its way. */
    async round(): Promise<readonly ServerResponse[]> {
      let seen = -1;
      while (seen < world.server.requests.length) {
        seen = world.server.requests.length;
        await settleTraffic();
      }
      return waiting.splice(0);
    },
  });
}

type World = Awaited<ReturnType<typeof stormWorld>>;

/** One pass over the runs that are left. Settles when nobody works any more. */
function sweep(world: World, left: Set<string>): { readonly done: () => boolean } {
  const queue = [...left].values();
  let working = WORKERS;
  const work = async () => {
    for (const sandboxId of queue) {
      // What a sweep does: it asks nothing while the API refuses.
      if (world.backend.api?.refusal != null) break;
      const evidence: Evidence = await world.backend.verify(runOf({ sandboxId }), calm());
      if (evidence.kind === "gone") left.delete(sandboxId);
    }
    working -= 1;
  };
  for (let worker = 0; worker < WORKERS; worker += 1) void work();
  return { done: () => working === 0 };
}

function limitOf({ backend }: World): number {
  return backend.api?.restraint.concurrency ?? 8;
}

describe("openHandsCloudBackend in a storm of 429s", () => {
  const limited = (response: ServerResponse) => sendJson(response, 429, {}, { "retry-after": "3" });
  const nothing = (response: ServerResponse) => sendJson(response, 200, [null]);

  it("never has more in flight than the limit of the moment, nor anything during a pause", async () => {
    await using world = await stormWorld();
    const left = new Set(Array.from({ length: RUNS }, (_, run) => `sandbox-${run}`));
    const limits: number[] = [];
    let refused = 0;
    for (let sweeps = 0; left.size > 0 && sweeps < 20; sweeps += 1) {
      const { done } = sweep(world, left);
      while (!done()) {
        const arrived = await world.round();
        expect(arrived.length).toBeLessThanOrEqual(limitOf(world));
        if (world.backend.api?.restraint.pausedForMs !== 0) expect(arrived).toHaveLength(0);
        // The storm is over after fifteen refusals. A round has one answer: else what succeeds first lets others go.
        const storms = refused < 15;
        for (const response of arrived) (storms ? limited : nothing)(response);
        if (storms) refused += arrived.length;
        await settleTraffic();
        limits.push(limitOf(world));
        await world.clock.advance(1_000);
      }
      await world.clock.advance(60_000);
    }
    expect(left).toEqual(new Set());
    expect(Math.min(...limits)).toBe(1);
    expect(limitOf(world)).toBe(8);
    // Nobody was asked about twice but those that were refused.
    expect(world.calls("lookup")).toBe(RUNS + refused);
  });

  it("costs an API that never recovers one request a minute", async () => {
    await using world = await stormWorld();
    const left = new Set(Array.from({ length: RUNS }, (_, run) => `sandbox-${run}`));
    const requests: number[] = [];
    for (let sweeps = 0; sweeps < 10; sweeps += 1) {
      const before = world.calls("lookup");
      const { done } = sweep(world, left);
      while (!done()) for (const response of await world.round()) sendJson(response, 429, {});
      requests.push(world.calls("lookup") - before);
      await world.clock.advance(60_000);
    }
    expect(requests[0]).toBeLessThanOrEqual(8 + 4 + 2 + 1 + 1);
    expect(requests.slice(1)).toEqual(Array.from({ length: 9 }, () => 1));
    expect(left.size).toBe(RUNS);
  });
});

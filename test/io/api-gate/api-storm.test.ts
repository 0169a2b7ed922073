import type { ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { sendJson } from "../../services/http-server.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import { calm, cloudWorld, runOf } from "../http/world.ts";
import { settleTraffic } from "../openhands/asking.ts";

const RUNS = 60;
/** As many as a sweep verifies at once. */
const WORKERS = 16;

/** An API that lets look-ups wait until the test answers all of them together, as one round. */
async function stormWorld() {
  const clock = new FakeClock();
  const waiting: ServerResponse[] = [];
  const world = await cloudWorld({
    client: { clock },
    options: { clock, concurrency: 8 },
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

type OwnerOf = (sandboxId: string) => string;

type World = Awaited<ReturnType<typeof stormWorld>>;

/** One pass over the runs that are left. Settles when nobody works any more. */
function sweep(
  world: World,
  left: Set<string>,
  ownerOf: OwnerOf,
): { readonly done: () => boolean } {
  const queue = [...left].values();
  let working = WORKERS;
  const work = async () => {
    for (const sandboxId of queue) {
      // What a sweep does: it asks nothing while the API refuses.
      if (world.backend.api?.blockedReason != null) break;
      const run = runOf({ sandboxId, userId: ownerOf(sandboxId) });
      const evidence: Evidence = await world.backend.verify(run, calm());
      if (evidence.kind === "gone") left.delete(sandboxId);
    }
    working -= 1;
  };
  for (let worker = 0; worker < WORKERS; worker += 1) void work();
  return { done: () => working === 0 };
}

function limitOf({ backend }: World): number {
  return backend.api?.throttle.concurrency ?? 8;
}

describe("openHandsCloudBackend in a storm of 429s", () => {
  const limited = (response: ServerResponse) => sendJson(response, 429, {}, { "retry-after": "3" });
  const nothing = (response: ServerResponse) =>
    sendJson(
      response,
      200,
      idsIn(response).map(() => null),
    );

  for (const [name, ownerOf] of [
    ["one owner's runs", () => "user-1"],
    ["runs of as many owners", (sandboxId) => sandboxId],
  ] as const satisfies readonly (readonly [string, OwnerOf])[]) {
    it(`never has more of ${name} in flight than the limit of the moment, nor any in their pause`, async () => {
      await using world = await stormWorld();
      const left = new Set(Array.from({ length: RUNS }, (_, run) => `sandbox-${run}`));
      const limits: number[] = [];
      const asked: string[] = [];
      let refusals = 0;
      /** Sandboxes in them. */
      let refused = 0;
      let pausedUntilMs = 0;
      for (let sweeps = 0; left.size > 0 && sweeps < 20; sweeps += 1) {
        const { done } = sweep(world, left, ownerOf);
        while (!done()) {
          const arrived = await world.round();
          expect(arrived.length).toBeLessThanOrEqual(limitOf(world));
          if (world.clock.monotonicMs() < pausedUntilMs) expect(arrived).toHaveLength(0);
          // The storm is over after fifteen refusals. A round has one answer: else what succeeds first lets others go.
          const storms = refusals < 15;
          for (const response of arrived) (storms ? limited : nothing)(response);
          const sandboxes = arrived.flatMap(idsIn);
          asked.push(...sandboxes);
          if (storms) refusals += arrived.length;
          if (storms) refused += sandboxes.length;
          await settleTraffic();
          if (storms && arrived.length > 0) pausedUntilMs = pauseEndsAtMs(world, ownerOf);
          limits.push(limitOf(world));
          await world.clock.advance(1_000);
        }
        await world.clock.advance(60_000);
      }
      expect(left).toEqual(new Set());
      expect(Math.min(...limits)).toBe(1);
      // Look-ups that went together are one success each. From 1 to 8 it takes 1 + 2 + ... + 7 of them.
      for (let success = 0; limitOf(world) < 8 && success < 28; success += 1) {
        const { done } = sweep(world, new Set([`quiet-${success}`]), ownerOf);
        while (!done()) for (const response of await world.round()) nothing(response);
      }
      expect(limitOf(world)).toBe(8);
      // Nobody was asked about twice but those that were refused.
      expect(asked).toHaveLength(RUNS + refused);
    });
  }

  for (const [name, tries, ownerOf] of [
    ["one request a minute", 1, () => "user-1"],
    ["one request a minute of each of five owners", 5, (sandboxId) => sandboxId],
  ] as const satisfies readonly (readonly [string, number, OwnerOf])[]) {
    it(`costs an API that never recovers ${name}`, async () => {
      await using world = await stormWorld();
      const left = new Set(Array.from({ length: RUNS }, (_, run) => `sandbox-${run}`));
      const requests: number[] = [];
      for (let sweeps = 0; sweeps < 10; sweeps += 1) {
        const before = world.calls("lookup");
        const { done } = sweep(world, left, ownerOf);
        while (!done()) for (const response of await world.round()) sendJson(response, 429, {});
        requests.push(world.calls("lookup") - before);
        await world.clock.advance(60_000);
      }
      expect(requests[0]).toBeLessThanOrEqual(8 + 4 + 2 + 1 + 1);
      expect(requests.slice(1)).toEqual(Array.from({ length: 9 }, () => tries));
      expect(left.size).toBe(RUNS);
    });
  }
});

function idsIn({ req }: ServerResponse): readonly string[] {
  return new URL(req.url ?? "", "http://host").searchParams.getAll("id");
}

/** One owner's pause is nobody else's; that of several is everybody's. */
function pauseEndsAtMs({ clock, backend }: World, ownerOf: OwnerOf): number {
  const isOne = ownerOf("a") === ownerOf("b");
  return clock.monotonicMs() + (isOne ? 3_000 : (backend.api?.throttle.pausedForMs ?? 0));
}

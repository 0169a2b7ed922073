import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Circuit } from "../../../src/io/api-gate/circuit.ts";
import type { HttpAnswer } from "../../../src/io/http/answer.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { GateWorld, garbage, ok, status, timeout } from "./gate-world.ts";

const answers = fc.constantFrom<HttpAnswer>(
  ok,
  ok,
  ok,
  status(401),
  status(404),
  status(429),
  status(429, 2_000),
  status(503, 5_000),
  status(503, 30_000),
  status(500),
  timeout,
  garbage,
);

const steps = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("ask" as const),
      owner: fc.integer({ min: 0, max: 7 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("answer" as const), which: fc.nat(), answer: answers }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("abort" as const), which: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      ms: fc.integer({ min: 0, max: 15_000 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("restore" as const),
      concurrency: fc.integer({ min: 1, max: 4 }),
    }),
  },
);

describe("ApiGate, whatever happens", () => {
  it("keeps to its limit, its pauses and its circuits, and leaves nobody stuck", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 6 }),
        fc.array(steps, { maxLength: 80 }),
        async (configured, script) => {
          const world = new GateWorld(configured);
          const asked: { readonly controller: AbortController; readonly end: Promise<unknown> }[] =
            [];
          const credentials = Array.from({ length: 7 }, () => new Circuit(world.clock));
          const ask = (owner: number) => {
            const controller = new AbortController();
            const credential = credentials[owner];
            const call = credential === undefined ? {} : { credential };
            const end = world.ask({ call, signal: controller.signal }).catch((error) => error);
            asked.push({ controller, end });
          };
          for (const step of script) {
            if (step.do === "ask") ask(step.owner);
            else if (step.do === "answer")
              await world.open.at(step.which % (world.open.length + 1))?.answer(step.answer);
            else if (step.do === "abort")
              asked.at(step.which % (asked.length + 1))?.controller.abort();
            else if (step.do === "wait") await world.clock.advance(step.ms);
            else world.gate.restore({ pausedForMs: 1_000, concurrency: step.concurrency });
            await settle();
            expect(world.limit).toBeGreaterThanOrEqual(1);
            expect(world.limit).toBeLessThanOrEqual(configured);
            expect(
              world.open.filter(({ breaker }) => breaker === "half-open").length,
            ).toBeLessThanOrEqual(1);
          }
          for (const { inFlight, limit, pausedForMs, ownMs, breaker } of world.sent) {
            expect(ownMs).toBe(0);
            expect(inFlight).toBeLessThanOrEqual(limit);
            expect(pausedForMs).toBe(0);
            expect(breaker).not.toBe("open");
          }
          // From now on the API is well: everybody comes to an end, and so do all restrictions.
          await world.clock.advance(60_000);
          while (world.open.length > 0) await world.open[0]?.answer(ok);
          for (let call = 0; call < 30; call += 1) await world.end(ok);
          await Promise.all(asked.map(({ end }) => end));
          expect(world.gate).toMatchObject({ breaker: "closed", blockedReason: null });
          expect(world.gate.throttle).toEqual({ pausedForMs: 0, concurrency: null });
        },
      ),
    );
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AdaptiveLimit } from "../../../src/io/backends/adaptive-limit.ts";
import type { Outcome } from "../../../src/io/backends/call-outcome.ts";
import { settle } from "../../support/fake-clock.ts";
import { calm } from "./world.ts";

/** One call after the other, each answered before the next is sent. */
function answer(limit: AdaptiveLimit, outcome: Outcome, times = 1): void {
  for (let sent = 0; sent < times; sent += 1) limit.send()(outcome);
}

/** Calls that are under way together. */
function burst(limit: AdaptiveLimit, size: number) {
  return Array.from({ length: size }, () => limit.send());
}

describe("AdaptiveLimit", () => {
  it("is as configured at first", () => {
    const limit = new AdaptiveLimit(8);
    expect(limit).toMatchObject({ current: 8, reducedTo: null, overfull: false });
  });

  it("is halved with every 429, and never falls below one", () => {
    const limit = new AdaptiveLimit(9);
    const limits = [1, 2, 3, 4, 5].map(() => {
      answer(limit, "rate-limited");
      return limit.reducedTo;
    });
    expect(limits).toEqual([4, 2, 1, 1, 1]);
  });

  it("is halved once by a burst", () => {
    const limit = new AdaptiveLimit(8);
    for (const learn of burst(limit, 8)) learn("rate-limited");
    expect(limit.current).toBe(4);
  });

  it("is halved again by a call that was sent after the reduction", () => {
    const limit = new AdaptiveLimit(8);
    const [first, second] = burst(limit, 2);
    first?.("rate-limited");
    const later = limit.send();
    second?.("rate-limited");
    expect(limit.current).toBe(4);
    later("rate-limited");
    expect(limit.current).toBe(2);
  });

  it("gives one back after as many successes in a row as the limit, and not one earlier", () => {
    const limit = new AdaptiveLimit(8);
    answer(limit, "rate-limited");
    answer(limit, "success", 3);
    expect(limit.current).toBe(4);
    answer(limit, "success");
    expect(limit.current).toBe(5);
    answer(limit, "success", 4);
    expect(limit.current).toBe(5);
    answer(limit, "success");
    expect(limit.current).toBe(6);
  });

  it("comes back from one to what is configured, and goes no further", () => {
    const limit = new AdaptiveLimit(4);
    answer(limit, "rate-limited", 2);
    const limits = Array.from({ length: 9 }, () => {
      answer(limit, "success");
      return limit.reducedTo;
    });
    expect(limits).toEqual([2, 2, 3, 3, 3, null, null, null, null]);
    expect(limit.current).toBe(4);
  });

  it("begins to count anew after a reduction", () => {
    const limit = new AdaptiveLimit(16);
    answer(limit, "rate-limited");
    answer(limit, "success", 7);
    answer(limit, "rate-limited");
    answer(limit, "success", 3);
    expect(limit.current).toBe(4);
    answer(limit, "success");
    expect(limit.current).toBe(5);
  });

  it("begins to count anew after a failure", () => {
    const limit = new AdaptiveLimit(8);
    answer(limit, "rate-limited");
    answer(limit, "success", 3);
    answer(limit, "failure");
    answer(limit, "success", 3);
    expect(limit.current).toBe(4);
    answer(limit, "success");
    expect(limit.current).toBe(5);
  });

  it("counts on after an answer that says nothing", () => {
    const limit = new AdaptiveLimit(8);
    answer(limit, "rate-limited");
    answer(limit, "success", 3);
    answer(limit, "none", 5);
    answer(limit, "success");
    expect(limit.current).toBe(5);
  });

  it("gives nothing back for successes of calls from before the reduction", () => {
    const limit = new AdaptiveLimit(8);
    const [refused, ...others] = burst(limit, 8);
    refused?.("rate-limited");
    for (const learn of others) learn("success");
    expect(limit.current).toBe(4);
  });

  it("is reduced to what somebody was asked for before", () => {
    const limit = new AdaptiveLimit(8);
    limit.reduceTo(3);
    expect(limit.reducedTo).toBe(3);
  });

  it("is not raised by a reduction to more", () => {
    const limit = new AdaptiveLimit(8);
    answer(limit, "rate-limited");
    limit.reduceTo(5);
    expect(limit.reducedTo).toBe(4);
  });

  it("counts on after a reduction to what it is already", () => {
    const limit = new AdaptiveLimit(8);
    answer(limit, "rate-limited");
    answer(limit, "success", 3);
    limit.reduceTo(4);
    answer(limit, "success");
    expect(limit.current).toBe(5);
  });

  for (const asked of [0, -3, 0.5]) {
    it(`stays at one when it is reduced to ${asked}`, () => {
      const limit = new AdaptiveLimit(8);
      limit.reduceTo(asked);
      expect(limit.current).toBe(1);
    });
  }

  it("keeps its bounds and leaves nobody stuck, whatever is answered", async () => {
    const outcomes = fc.constantFrom<Outcome>("success", "rate-limited", "failure", "none");
    const script = fc.array(fc.tuple(fc.nat(), outcomes), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 9 }), script, async (configured, answers) => {
        const limit = new AdaptiveLimit(configured);
        const inFlight: ((outcome: Outcome) => void)[] = [];
        let done = 0;
        const callers = Array.from({ length: answers.length + configured }, async () => {
          const release = await limit.acquire(calm());
          const learn = limit.send();
          inFlight.push((outcome) => {
            learn(outcome);
            done += 1;
            release();
          });
          expect(inFlight.length).toBeLessThanOrEqual(limit.current);
        });
        for (const [which, outcome] of answers) {
          await settle();
          expect(limit.current).toBeGreaterThanOrEqual(1);
          expect(limit.current).toBeLessThanOrEqual(configured);
          // Somebody is always under way while others wait.
          expect(inFlight.length).toBeGreaterThan(0);
          inFlight.splice(which % inFlight.length, 1)[0]?.(outcome);
        }
        while (done < callers.length) {
          await settle();
          inFlight.splice(0, 1)[0]?.("none");
        }
        await Promise.all(callers);
        expect(inFlight).toEqual([]);
      }),
    );
  });
});

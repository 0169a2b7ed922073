import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AdaptiveLimit } from "../../../src/io/api-gate/adaptive-limit.ts";
import type { Outcome } from "../../../src/io/api-gate/circuit.ts";

function answer(limit: AdaptiveLimit, outcome: Outcome, times = 1): void {
  for (let sent = 0; sent < times; sent += 1) limit.learn(outcome);
}

describe("AdaptiveLimit", () => {
  it("is as configured at first", () => {
    const limit = new AdaptiveLimit(8);
    expect(limit).toMatchObject({ reducedTo: null, isReached: false });
  });

  it("has a share that others take up the rest of, whatever the API asks for meanwhile", async () => {
    const limit = new AdaptiveLimit(8);
    const end = Promise.withResolvers<void>();
    const calls = [limit.run(() => end.promise), limit.run(() => end.promise)];
    limit.shareTo(2);
    expect(limit).toMatchObject({ isReached: true, reducedTo: null });
    const { ended } = limit;
    limit.shareTo(8);
    // Who waits for a slot looks again.
    await ended;
    expect(limit.isReached).toBe(false);
    answer(limit, "rate-limited", 2);
    limit.shareTo(4);
    expect(limit).toMatchObject({ isReached: true, reducedTo: 2 });
    limit.shareTo(8);
    expect(limit.reducedTo).toBe(2);
    end.resolve();
    await Promise.all(calls);
  });

  it("is halved with every 429, and never falls below one", () => {
    const limit = new AdaptiveLimit(9);
    const limits = [1, 2, 3, 4, 5].map(() => {
      answer(limit, "rate-limited");
      return limit.reducedTo;
    });
    expect(limits).toEqual([4, 2, 1, 1, 1]);
  });

  it("gives one back after as many successes in a row as the limit, and not one earlier", () => {
    const limit = new AdaptiveLimit(8);
    answer(limit, "rate-limited");
    answer(limit, "success", 3);
    expect(limit.reducedTo).toBe(4);
    answer(limit, "success");
    expect(limit.reducedTo).toBe(5);
    answer(limit, "success", 4);
    expect(limit.reducedTo).toBe(5);
    answer(limit, "success");
    expect(limit.reducedTo).toBe(6);
  });

  it("comes back from one to what is configured, and goes no further", () => {
    const limit = new AdaptiveLimit(4);
    answer(limit, "rate-limited", 2);
    const limits = Array.from({ length: 9 }, () => {
      answer(limit, "success");
      return limit.reducedTo;
    });
    expect(limits).toEqual([2, 2, 3, 3, 3, null, null, null, null]);
    answer(limit, "rate-limited");
    expect(limit.reducedTo).toBe(2);
  });

  it("begins to count anew after a reduction", () => {
    const limit = new AdaptiveLimit(16);
    answer(limit, "rate-limited");
    answer(limit, "success", 7);
    answer(limit, "rate-limited");
    answer(limit, "success", 3);
    expect(limit.reducedTo).toBe(4);
    answer(limit, "success");
    expect(limit.reducedTo).toBe(5);
  });

  it("begins to count anew after a failure", () => {
    const limit = new AdaptiveLimit(8);
    answer(limit, "rate-limited");
    answer(limit, "success", 3);
    answer(limit, "failure");
    answer(limit, "success", 3);
    expect(limit.reducedTo).toBe(4);
    answer(limit, "success");
    expect(limit.reducedTo).toBe(5);
  });

  it("counts on after an answer that says nothing", () => {
    const limit = new AdaptiveLimit(8);
    answer(limit, "rate-limited");
    answer(limit, "success", 3);
    answer(limit, "none", 5);
    answer(limit, "success");
    expect(limit.reducedTo).toBe(5);
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
    expect(limit.reducedTo).toBe(5);
  });

  for (const asked of [0, -3, 0.5]) {
    it(`stays at one when it is reduced to ${asked}`, () => {
      const limit = new AdaptiveLimit(8);
      limit.reduceTo(asked);
      expect(limit.reducedTo).toBe(1);
    });
  }

  it("lets as many run as there may be, and tells when one has ended, whatever came of it", async () => {
    const limit = new AdaptiveLimit(2);
    const calls = [0, 1].map(() => Promise.withResolvers<string>());
    const ends = calls.map(({ promise }) => limit.run(() => promise));
    expect(limit.isReached).toBe(true);
    const { ended } = limit;
    const reason = new Error("stopping");
    calls[0]?.reject(reason);
    await expect(ends[0]).rejects.toBe(reason);
    await ended;
    expect(limit.isReached).toBe(false);
    calls[1]?.resolve("answer");
    expect(await ends[1]).toBe("answer");
  });

  it("is reached while more are under way than it allows since it fell", async () => {
    const limit = new AdaptiveLimit(4);
    const calls = [0, 1, 2].map(() => Promise.withResolvers<void>());
    const ends = calls.map(({ promise }) => limit.run(() => promise));
    limit.learn("rate-limited");
    expect(limit.isReached).toBe(true);
    calls[0]?.resolve();
    await ends[0];
    expect(limit.isReached).toBe(true);
    calls[1]?.resolve();
    await ends[1];
    expect(limit.isReached).toBe(false);
  });

  it("keeps its bounds, whatever is answered", () => {
    const outcomes = fc.constantFrom<Outcome>("success", "rate-limited", "failure", "none");
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.array(outcomes), (configured, answers) => {
        const limit = new AdaptiveLimit(configured);
        for (const outcome of answers) {
          limit.learn(outcome);
          expect(limit.reducedTo ?? configured).toBeGreaterThanOrEqual(1);
          expect(limit.reducedTo ?? 0).toBeLessThan(configured);
        }
      }),
    );
  });
});

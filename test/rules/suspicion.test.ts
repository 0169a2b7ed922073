import { describe, expect, it } from "vitest";
import {
  askAgainInMs,
  CLEARED,
  inconclusive,
  observation,
  shieldAfterLookMs,
} from "../../src/rules/suspicion.ts";
import { suspicion } from "../support/stands/snapshot.ts";

const DEFER_MS = 45_000;

describe("observation", () => {
  it("counts the first one", () => {
    expect(observation(null, "sandbox missing", DEFER_MS)).toEqual({
      presumedTimes: 1,
      presumedReason: "sandbox missing",
      observed: true,
      unknownTimes: 0,
      unknownCause: null,
      held: false,
    });
  });

  it("counts one that comes exactly one deferral after the last", () => {
    const before = suspicion({ presumedTimes: 1, sincePresumedMs: DEFER_MS });
    expect(observation(before, "sandbox paused", DEFER_MS)).toMatchObject({
      presumedTimes: 2,
      presumedReason: "sandbox paused",
      observed: true,
    });
  });

  it("does not count one that comes a millisecond earlier, and keeps the time of the last", () => {
    const before = suspicion({ presumedTimes: 1, sincePresumedMs: DEFER_MS - 1 });
    const change = observation(before, "sandbox missing", DEFER_MS);
    expect(change).toMatchObject({ presumedTimes: 1, observed: false });
  });

  it("does not count one that comes at the very moment of the last", () => {
    const before = suspicion({ presumedTimes: 1, sincePresumedMs: 0 });
    const change = observation(before, "sandbox missing", DEFER_MS);
    expect(change).toMatchObject({ presumedTimes: 1, observed: false });
  });

  it("counts where the run was remembered for something else only", () => {
    const before = suspicion({ unknownTimes: 4, unknownSinceMs: 1 });
    expect(observation(before, "sandbox missing", DEFER_MS)).toMatchObject({ presumedTimes: 1 });
  });

  it("ends the series of inconclusive answers: the backend has answered", () => {
    const before = suspicion({ unknownTimes: 4, unknownSinceMs: 1 });
    expect(observation(before, "sandbox missing", DEFER_MS).unknownTimes).toBe(0);
  });
});

const CAUSE = "sandbox_api get_sandbox answered 502";

describe("inconclusive", () => {
  it("counts from the first answer that told nothing", () => {
    expect(inconclusive(null, CAUSE)).toEqual({
      ...CLEARED,
      unknownTimes: 1,
      unknownCause: CAUSE,
    });
    expect(inconclusive(suspicion({ unknownTimes: 1 }), CAUSE).unknownTimes).toBe(2);
  });

  it("neither counts as an observation nor clears one", () => {
    const before = suspicion({ presumedTimes: 1, presumedReason: "sandbox missing" });
    const { presumedTimes, presumedReason, observed } = inconclusive(before, CAUSE);
    expect({ presumedTimes, presumedReason, observed }).toEqual({
      presumedTimes: 1,
      presumedReason: "sandbox missing",
      observed: false,
    });
  });
});

describe("askAgainInMs", () => {
  const cases = [
    { times: 1, expectedMs: 45_000 },
    { times: 2, expectedMs: 90_000 },
    { times: 3, expectedMs: 180_000 },
    { times: 5, expectedMs: 720_000 },
    { times: 6, expectedMs: 900_000 },
    { times: 5000, expectedMs: 900_000 },
  ];
  it.each(cases)("is $expectedMs ms after $times answers that told nothing", (row) => {
    expect(askAgainInMs(row.times, DEFER_MS)).toBe(row.expectedMs);
  });

  it("is one deferral for a run without inconclusive answers", () => {
    expect(askAgainInMs(0, DEFER_MS)).toBe(DEFER_MS);
  });

  it("is never shorter than one deferral, however long that is", () => {
    expect(askAgainInMs(1, 3_600_000)).toBe(3_600_000);
    expect(askAgainInMs(9, 3_600_000)).toBe(3_600_000);
  });
});

describe("shieldAfterLookMs", () => {
  it("is two intervals and a minute", () => {
    expect(shieldAfterLookMs(2_000)).toBe(64_000);
    expect(shieldAfterLookMs(60_000)).toBe(180_000);
  });
});

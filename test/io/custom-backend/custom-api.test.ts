import { describe, expect, it } from "vitest";
import { foreignApi } from "../../../src/io/custom-backend/custom-api.ts";
import type { ApiRestraint, SharedApi } from "../../../src/watchdog/ports.ts";
import { recordedLog } from "../../support/memory/recorded-log.ts";

const UNRESTRAINED = { pausedForMs: 0, concurrency: null };

/** Somebody else's API, written without types. */
function wrap(api: object) {
  const { log, entries } = recordedLog();
  return { api: foreignApi(api as SharedApi, log), entries };
}

function snapshot({ restraint, breaker, refusal }: SharedApi) {
  return { restraint, breaker, refusal };
}

describe("foreignApi", () => {
  it("shows what the API says at that moment", () => {
    const theirs = {
      restraint: { pausedForMs: 1500, concurrency: 4 },
      breaker: "half-open",
      refusal: "closed",
    };
    const { api, entries } = wrap(theirs);
    expect(snapshot(api)).toEqual(theirs);
    Object.assign(theirs, { restraint: UNRESTRAINED, breaker: "closed", refusal: null });
    expect(snapshot(api)).toEqual({ restraint: UNRESTRAINED, breaker: "closed", refusal: null });
    expect(entries).toEqual([]);
  });

  it("hands on what an earlier leader was asked for", () => {
    const restored: ApiRestraint[] = [];
    const { api } = wrap({ restore: (restraint: ApiRestraint) => restored.push(restraint) });
    api.restore({ pausedForMs: 5, concurrency: 1 });
    expect(restored).toEqual([{ pausedForMs: 5, concurrency: 1 }]);
  });

  for (const [asked, obeyed] of [
    [-1, 0],
    [0.5, 0.5],
    [300_000, 300_000],
    [1e300, 300_000],
  ]) {
    it(`passes on a pause of ${asked} ms as one of ${obeyed} ms`, () => {
      const { api } = wrap({ restraint: { pausedForMs: asked, concurrency: null } });
      expect(api.restraint.pausedForMs).toBe(obeyed);
    });
  }

  const broken: readonly (readonly [name: string, api: object])[] = [
    ["nothing", {}],
    ["null", { restraint: null, breaker: null }],
    ["words for numbers", { restraint: { pausedForMs: "5", concurrency: "1" }, refusal: 5 }],
    ["no numbers", { restraint: { pausedForMs: Number.NaN, concurrency: 0 }, refusal: {} }],
    ["half a restraint", { restraint: { pausedForMs: 5 }, breaker: "ajar" }],
  ];
  for (const [name, theirs] of broken) {
    it(`asks on as if there were no API when it says ${name}`, () => {
      const { api, entries } = wrap(theirs);
      const { restraint, breaker, refusal } = snapshot(api);
      expect({ restraint, breaker, refusal }).toEqual({
        restraint: UNRESTRAINED,
        breaker: "closed",
        refusal: null,
      });
      expect(entries).toHaveLength(1);
    });
  }

  it("survives an API that throws, and says so once", () => {
    const boom = () => {
      throw new TypeError("boom");
    };
    const theirs = Object.defineProperties(
      { restore: boom },
      Object.fromEntries(["restraint", "breaker", "refusal"].map((name) => [name, { get: boom }])),
    );
    const { api, entries } = wrap(theirs);
    expect(snapshot(api)).toEqual({ restraint: UNRESTRAINED, breaker: "closed", refusal: null });
    expect(() => api.restore(UNRESTRAINED)).not.toThrow();
    expect(entries).toMatchObject([
      { level: "error", message: "the backend's api breaks its promises" },
    ]);
  });
});

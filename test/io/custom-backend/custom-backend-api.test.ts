import { describe, expect, it } from "vitest";
import { customApi } from "../../../src/io/custom-backend/custom-backend.ts";
import type { ApiThrottle, SharedApi } from "../../../src/watchdog/ports.ts";
import { recordedLog } from "../../support/memory/recorded-log.ts";

const UNTHROTTLED = { pausedForMs: 0, concurrency: null };

/** Somebody else's API, written without types. */
function wrap(api: object) {
  const { log, entries } = recordedLog();
  return { api: customApi(api as SharedApi, log), entries };
}

function snapshot({ throttle, breaker, blockedReason }: SharedApi) {
  return { throttle, breaker, blockedReason };
}

describe("customApi", () => {
  it("shows what the API says at that moment", () => {
    const theirs = {
      throttle: { pausedForMs: 1500, concurrency: 4 },
      breaker: "half-open",
      blockedReason: "closed",
    };
    const { api, entries } = wrap(theirs);
    expect(snapshot(api)).toEqual(theirs);
    Object.assign(theirs, { throttle: UNTHROTTLED, breaker: "closed", blockedReason: null });
    expect(snapshot(api)).toEqual({
      throttle: UNTHROTTLED,
      breaker: "closed",
      blockedReason: null,
    });
    expect(entries).toEqual([]);
  });

  it("hands on what an earlier leader was asked for", () => {
    const restored: ApiThrottle[] = [];
    const { api } = wrap({ restore: (throttle: ApiThrottle) => restored.push(throttle) });
    api.restore({ pausedForMs: 5, concurrency: 1 });
    expect(restored).toEqual([{ pausedForMs: 5, concurrency: 1 }]);
  });

  const reading = { theirMs: 7000, sentMs: 0, receivedMs: 10, precisionMs: 1 };
  for (const [what, theirs, shown] of [
    ["shows its clock", reading, reading],
    ["shows no clock where it has none", undefined, null],
    ["shows no clock that it does not know", null, null],
    ["shows no clock that is none", { ...reading, theirMs: "noon" }, null],
    ["shows no clock without a time", { ...reading, theirMs: Number.NaN }, null],
  ] as const) {
    it(what, () => {
      expect(wrap({ clock: theirs }).api.clock).toEqual(shown);
    });
  }

  for (const [asked, obeyed] of [
    [-1, 0],
    [0.5, 0.5],
    [300_000, 300_000],
    [1e300, 300_000],
  ]) {
    it(`passes on a pause of ${asked} ms as one of ${obeyed} ms`, () => {
      const { api } = wrap({ throttle: { pausedForMs: asked, concurrency: null } });
      expect(api.throttle.pausedForMs).toBe(obeyed);
    });
  }

  const broken: readonly (readonly [name: string, api: object])[] = [
    ["nothing", {}],
    ["null", { throttle: null, breaker: null }],
    ["words for numbers", { throttle: { pausedForMs: "5", concurrency: "1" }, blockedReason: 5 }],
    ["no numbers", { throttle: { pausedForMs: Number.NaN, concurrency: 0 }, blockedReason: {} }],
    ["half a throttle", { throttle: { pausedForMs: 5 }, breaker: "ajar" }],
  ];
  for (const [name, theirs] of broken) {
    it(`asks on as if there were no API when it says ${name}`, () => {
      const { api, entries } = wrap(theirs);
      const { throttle, breaker, blockedReason } = snapshot(api);
      expect({ throttle, breaker, blockedReason }).toEqual({
        throttle: UNTHROTTLED,
        breaker: "closed",
        blockedReason: null,
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
      Object.fromEntries(
        ["throttle", "breaker", "blockedReason"].map((name) => [name, { get: boom }]),
      ),
    );
    const { api, entries } = wrap(theirs);
    expect(snapshot(api)).toEqual({
      throttle: UNTHROTTLED,
      breaker: "closed",
      blockedReason: null,
    });
    expect(() => api.restore(UNTHROTTLED)).not.toThrow();
    expect(entries).toMatchObject([
      { level: "error", message: "the custom backend's api gave an invalid value, it is ignored" },
    ]);
  });
});

import { describe, expect, it } from "vitest";
import {
  checkAutoDisable,
  checkFleet,
  checkHostWatchdog,
  type FleetState,
  type SeenWorker,
} from "../../../src/rules/doctor/fleet.ts";

const OWN = { version: "1", fingerprint: "aaa", leaseKind: "redis", intervalMs: 60_000 };
const STATE: FleetState = {
  installation: "i",
  leaseKind: "redis",
  sinceProgressMs: 1_000,
  sinceFinishMs: 1_000,
  pausedForMs: null,
};
const WORKER: SeenWorker = {
  holder: "w/1/ab",
  version: "1",
  fingerprint: "aaa",
  leaseKind: "redis",
  seenAgoMs: 10_000,
};
const HOST = {
  watchdogIntervalSeconds: null,
  failureThreshold: null,
  consecutiveFailureThreshold: null,
};

function resultOf(link: string, state: Partial<FleetState>, workers: readonly SeenWorker[] = []) {
  const checks = checkFleet({ state: { ...STATE, ...state }, workers }, OWN);
  const check = checks.find((each) => each.link === link);
  if (check === undefined) throw new Error(`no check of ${link}`);
  return check;
}

describe("the kind of lease", () => {
  it.each(["redis", null])("is fine when the fleet has noted %s", (leaseKind) => {
    expect(resultOf("lease kind", { leaseKind }).result).toBe("ok");
  });

  it("deserves a look when the fleet uses the other one", () => {
    const check = resultOf("lease kind", { leaseKind: "postgres" });
    expect(check).toMatchObject({
      result: "warning",
      remedies: ["unset REDIS_URL, or stop the other workers first"],
    });
  });
});

describe("the number of shards, which is noted with it", () => {
  it.each([
    ["redis/4", "set WATCHDOG_SHARDS=4 as the other workers do, or stop them first"],
    ["postgres/4", "unset REDIS_URL, or stop the other workers first"],
  ])("deserves a look when the fleet has noted %s", (leaseKind, remedy) => {
    const check = resultOf("lease kind", { leaseKind });
    expect(check).toMatchObject({ result: "warning", remedies: [remedy] });
  });
});

describe("the fleet's sweeps", () => {
  it("are fine until three ticks have passed", () => {
    const since = (ms: number) => ({ sinceFinishMs: ms, sinceProgressMs: ms });
    expect(resultOf("sweeps", since(180_000)).result).toBe("ok");
    expect(resultOf("sweeps", since(180_001)).result).toBe("warning");
  });

  it("are fine when a long one makes progress", () => {
    expect(resultOf("sweeps", { sinceFinishMs: 900_000, sinceProgressMs: 5_000 }).result).toBe(
      "ok",
    );
  });

  it("are fine when there was none yet", () => {
    expect(resultOf("sweeps", { sinceFinishMs: null, sinceProgressMs: null }).result).toBe("ok");
  });

  it("are shown as paused, and not when the pause is over", () => {
    expect(resultOf("sweeps", { pausedForMs: 60_000 })).toMatchObject({
      result: "warning",
      found: "paused for 1 min more",
    });
    expect(resultOf("sweeps", { pausedForMs: 0 }).result).toBe("ok");
  });
});

describe("the other workers", () => {
  it("are fine when they are configured like this one", () => {
    expect(resultOf("workers", {}, [WORKER])).toMatchObject({ result: "ok" });
  });

  it.each([{ fingerprint: "bbb" }, { version: "2" }])(
    "are named when they differ in %j",
    (other) => {
      const check = resultOf("workers", {}, [WORKER, { ...WORKER, holder: "w/2/cd", ...other }]);
      expect(check.result).toBe("warning");
      expect(check.remedies.filter((remedy) => remedy.startsWith("w/"))).toEqual([
        expect.stringContaining("w/2/cd"),
      ]);
    },
  );

  it("do not count when they were not seen for three ticks and a minute", () => {
    const seen = (seenAgoMs: number) => [{ ...WORKER, fingerprint: "bbb", seenAgoMs }];
    expect(resultOf("workers", {}, seen(239_999)).result).toBe("warning");
    expect(resultOf("workers", {}, seen(240_000)).result).toBe("ok");
  });

  it("cannot be compared without a leadership row", () => {
    expect(checkFleet({ state: null, workers: [] }, OWN)).toMatchObject([{ result: "warning" }]);
  });
});

describe("the host's own watchdog", () => {
  it("is fine when nobody else ends runs", () => {
    expect(checkHostWatchdog({ count: 0, sinceLastMs: null }, HOST).result).toBe("ok");
  });

  it("is shown when others end runs, with the interval that is set here", () => {
    const host = { ...HOST, watchdogIntervalSeconds: "60" };
    expect(checkHostWatchdog({ count: 3, sinceLastMs: 120_000 }, host)).toMatchObject({
      result: "warning",
      found:
        "others ended 3 runs of the last day as timed out, the last 2 min ago; its interval here is 1 min",
    });
  });

  it("has a clock that is ahead when its ends lie in the future, and no age below zero", () => {
    const ended = (sinceLastMs: number) => checkHostWatchdog({ count: 3, sinceLastMs }, HOST).found;
    expect(ended(-1_800_000)).toBe(
      "others ended 3 runs of the last day as timed out, the clock of whoever ended them is 1800 s ahead of Postgres's, check their time service",
    );
    expect(ended(-4_000)).toMatch(/, the last less than 1 ms ago$/);
  });
});

describe("the host's rules for disabling automations", () => {
  it("are fine as long as none counts every failure", () => {
    expect(checkAutoDisable({ ...HOST, failureThreshold: "3" }).result).toBe("ok");
  });

  it("deserve a look when one does", () => {
    const check = checkAutoDisable({ ...HOST, consecutiveFailureThreshold: "5" });
    expect(check).toMatchObject({
      result: "warning",
      found: expect.stringContaining("5 failures"),
    });
  });
});

import { describe, expect, it } from "vitest";
import { checkSettings, type SettingsInForce } from "../../../src/rules/doctor/settings.ts";

const GOOD: SettingsInForce = {
  fingerprint: "0123456789ab",
  observes: false,
  lease: { ttlMs: 15_000, renewMs: 5_000, marginMs: 2_000 },
  deferMs: 45_000,
  intervalMs: 60_000,
  guard: { confirmations: 2, min: 5, ratio: 0.25, perHour: 60, unverifiableAfterMs: 86_400_000 },
};

function check(change: Partial<SettingsInForce> = {}, warnings: readonly string[] = []) {
  return checkSettings({ problems: [], warnings, inForce: { ...GOOD, ...change } });
}

describe("checkSettings", () => {
  it("finds the defaults good", () => {
    expect(check().map(({ link, result }) => `${link}: ${result}`)).toEqual([
      "settings: ok",
      "lease timing: ok",
      "deferral: ok",
      "guard: ok",
    ]);
  });

  it("shows the arithmetic of the lease", () => {
    expect(check()[1]?.found).toBe("lasts 15 s, is renewed every 5 s and trusted for 13 s");
  });

  it("fails for each problem, and checks nothing that depends on it", () => {
    const problems = ["A must be set, got nothing", "B must be a number, got x"];
    const checks = checkSettings({ problems, warnings: ["C is ignored"], inForce: null });
    expect(checks.map(({ result, found }) => [result, found])).toEqual(
      problems.map((problem) => ["failure", problem]),
    );
  });

  it("repeats the configuration's own warnings", () => {
    expect(check({}, ["C is ignored"])).toContainEqual({
      link: "settings",
      result: "warning",
      found: "C is ignored",
      remedies: [],
    });
  });

  it("calls a deferral good that is shorter than the interval", () => {
    const links = (deferMs: number) => check({ deferMs }).map(({ link }) => link);
    expect(links(59_999)).toContain("deferral");
    expect(links(60_000)).not.toContain("deferral");
  });

  it("deserves a look when it only observes", () => {
    const mode = (observes: boolean) => check({ observes }).find(({ link }) => link === "mode");
    expect(mode(true)?.result).toBe("warning");
    expect(mode(false)).toBeUndefined();
  });

  const risky: readonly (readonly [string, Partial<SettingsInForce["guard"]>, string])[] = [
    ["one sight confirms", { confirmations: 1 }, "WATCHDOG_CONFIRMATIONS"],
    ["every run may be presumed dead", { ratio: 1 }, "WATCHDOG_GUARD_RATIO"],
    ["a short outage ends runs", { unverifiableAfterMs: 3_599_999 }, "WATCHDOG_UNVERIFIABLE_AFTER"],
  ];
  it.each(risky)("warns of a guard where %s", (_, guard, name) => {
    const found = check({ guard: { ...GOOD.guard, ...guard } }).find(
      ({ link }) => link === "guard",
    );
    expect(found?.result).toBe("warning");
    expect(found?.remedies).toEqual([expect.stringContaining(name)]);
  });

  it("finds the other side of each limit good", () => {
    const guard = { ...GOOD.guard, confirmations: 2, ratio: 0.99, unverifiableAfterMs: 3_600_000 };
    expect(check({ guard }).find(({ link }) => link === "guard")?.result).toBe("ok");
  });
});

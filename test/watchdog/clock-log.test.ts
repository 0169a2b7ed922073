import { describe, expect, it } from "vitest";
import { ClockLog } from "../../src/watchdog/clock-log.ts";
import { recordedLog } from "../support/memory/recorded-log.ts";

type Said = number | "right";

describe("ClockLog", () => {
  const cases: readonly (readonly [string, readonly number[], readonly Said[]])[] = [
    ["nothing of a clock that is five seconds off", [0, 5000, -5000], []],
    ["once that it is off by more", [5001, 5001, 5900], [5]],
    [
      "again what is over five seconds more, less or the other way",
      [6000, 11_001, -6000],
      [6, 11, -6],
    ],
    ["that it is right again, once", [300_000, 0, 0], [300, "right"]],
    ["that it is right again, however little it is off by now", [300_000, 4900], [300, "right"]],
    ["once of a clock at the very limit", [5100, 4900, 5100, 2501, 5100], [5]],
    ["the end of one at the limit when it has come halfway back", [5100, 2500], [5, "right"]],
    ["each new beginning", [6000, 0, 6000], [6, "right", 6]],
  ];
  for (const [what, skews, expected] of cases) {
    it(`says ${what}`, () => {
      const { log, entries } = recordedLog();
      const clocks = new ClockLog(log);
      for (const skewMs of skews) clocks.saw("redis", skewMs);
      expect(entries.map(({ fields }) => fields["skewSeconds"] ?? "right")).toEqual(expected);
    });
  }

  it("keeps the clocks apart, and says which it is and what to do", () => {
    const { log, entries } = recordedLog();
    const clocks = new ClockLog(log);
    clocks.saw("redis", 7000);
    clocks.saw("backend", -7000);
    clocks.saw("redis", 0);
    const problem = expect.stringMatching(/^the clock of .*, check their time service$/);
    expect(entries).toEqual([
      {
        level: "warn",
        message: "a clock is off",
        fields: { clock: "redis", skewSeconds: 7, problem },
      },
      {
        level: "warn",
        message: "a clock is off",
        fields: { clock: "backend", skewSeconds: -7, problem },
      },
      { level: "info", message: "a clock is right again", fields: { clock: "redis" } },
    ]);
  });
});

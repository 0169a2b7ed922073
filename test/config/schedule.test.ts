import { describe, expect, it } from "vitest";
import { configWith, problemsWith } from "../support/process/config-env.ts";

describe("WATCHDOG_SCHEDULE", () => {
  for (const pattern of [
    "*/5 * * * *",
    "*/40 * * * * *",
    "@hourly",
    "0 0 29 2 *",
    "0 9 * * MON#1",
  ]) {
    it(`accepts ${pattern}`, () => {
      expect(configWith({ WATCHDOG_SCHEDULE: pattern }).config.schedule).toEqual({ pattern });
    });
  }

  const refused = [
    { pattern: "0 0 31 2 *", why: "there is no such day" },
    { pattern: "2099-01-01T00:00:00Z", why: "a date would run only once" },
    { pattern: "2099-01-01T00:00:00", why: "a date would run only once" },
    { pattern: "61 * * * *", why: "Invalid value for minute: 61" },
    { pattern: "* * * *", why: "invalid configuration format" },
    { pattern: "* * * * * * 2030", why: "requires exactly 5 or 6 parts" },
    { pattern: "@reboot", why: "not supported" },
    { pattern: "every minute", why: "invalid configuration format" },
  ];
  for (const { pattern, why } of refused) {
    it(`refuses ${pattern}`, () => {
      const [problem, ...others] = problemsWith({ WATCHDOG_SCHEDULE: pattern });
      expect(problem).toMatch(/^WATCHDOG_SCHEDULE must be a cron pattern such as "\* \* \* \* \*"/);
      expect(problem).toContain(`got ${JSON.stringify(pattern)}`);
      expect(problem).toContain(why);
      expect(others).toEqual([]);
    });
  }

  it("keeps what croner says about it on the same line", () => {
    expect(problemsWith({ WATCHDOG_SCHEDULE: "*\n*" })[0]).not.toContain("\n");
  });
});

describe("WATCHDOG_DEFER and WATCHDOG_SCHEDULE", () => {
  const cases = [
    {
      name: "are silent 1 ms below the interval",
      schedule: "* * * * *",
      defer: "59999ms",
      warns: false,
    },
    { name: "warn at the interval", schedule: "* * * * *", defer: "60s", warns: true },
    {
      name: "compare with the shortest distance",
      schedule: "*/40 * * * * *",
      defer: "20s",
      warns: true,
    },
    {
      name: "are silent below the shortest distance",
      schedule: "*/40 * * * * *",
      defer: "19s",
      warns: false,
    },
  ];
  for (const { name, schedule, defer, warns } of cases) {
    it(name, () => {
      const { warnings } = configWith({ WATCHDOG_SCHEDULE: schedule, WATCHDOG_DEFER: defer });
      const expected = [expect.stringMatching(/^WATCHDOG_DEFER .* on every second tick/)];
      expect(warnings).toEqual(warns ? expected : []);
    });
  }
});

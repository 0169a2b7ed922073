import { describe, expect, it } from "vitest";
import type { SweepCounts } from "../../../src/rules/report.ts";
import { SweepLog } from "../../../src/watchdog/worker/sweep-log.ts";
import { aReport, NO_COUNTS, NONE_WAITING } from "../../report/a-report.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import { type Logged, recordTo } from "../../support/stands/sweep-world.ts";

const TEN_MINUTES_MS = 600_000;

describe("SweepLog", () => {
  const news: readonly (keyof SweepCounts)[] = [
    ...(["completed", "failed", "suspected", "undetermined"] as const),
    ...(["held", "skipped", "errors"] as const),
  ];
  for (const key of news) {
    it(`tells at once of a sweep in which a run counted as ${key}`, () => {
      const { log, told } = setup();
      log.swept(aReport({ counts: { ...NO_COUNTS, stale: 1, [key]: 1 } }));
      expect(told()).toEqual(["info sweep finished"]);
    });
  }

  it("tells at once of clean-ups, and not of runs that go on", () => {
    const { log, told } = setup();
    log.swept(aReport({ counts: { ...NO_COUNTS, stale: 3, deferred: 1, lostRace: 1, busy: 1 } }));
    expect(told()).toEqual(["debug sweep finished"]);
    log.swept(aReport({ cleanups: { done: 1, pending: 0, abandoned: 0 } }));
    expect(told().at(-1)).toBe("info sweep finished");
  });

  it("tells at once when the exit code has changed, with why, and not again while it stays", () => {
    const { log, lines, told } = setup();
    const message = "20 x service_api mint_api_key: HTTP 401, check AUTOMATION_SERVICE_KEY";
    log.swept(aReport({ status: "partial", exitCode: 3, message }));
    log.swept(aReport({ status: "partial", exitCode: 3, message }));
    log.swept(aReport());
    expect(told()).toEqual(["warn sweep finished", "debug sweep finished", "info sweep finished"]);
    expect(lines[0]?.fields).toMatchObject({ message, waiting: NONE_WAITING });
    expect(lines[0]?.fields).not.toHaveProperty("runs");
  });

  it("is heard from every ten minutes when nothing is new", async () => {
    const { log, clock, lines, told } = setup();
    await clock.advance(TEN_MINUTES_MS - 1);
    log.swept(aReport());
    expect(told()).toEqual(["debug sweep finished"]);
    await clock.advance(1);
    log.swept(aReport());
    expect(told().at(-1)).toBe("info sweeps found nothing new");
    expect(lines.at(-1)?.fields).toMatchObject({ sweeps: 2, waiting: NONE_WAITING, message: null });
    await clock.advance(TEN_MINUTES_MS - 1);
    log.swept(aReport());
    expect(told().at(-1)).toBe("debug sweep finished");
  });
});

function setup() {
  const clock = new FakeClock();
  const lines: Logged[] = [];
  const log = new SweepLog(recordTo(lines), clock);
  return {
    clock,
    lines,
    log,
    told: () => lines.map(({ level, message }) => `${level} ${message}`),
  };
}

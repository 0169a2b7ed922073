import { describe, expect, it } from "vitest";
import { json } from "../fake-host/model.ts";
import { onceAnswered } from "../support/replay/checks.ts";
import { dies, ends, type JobSpec, job } from "../support/replay/jobs.ts";
import { startReplay } from "../support/replay/replay.ts";
import { MINUTE_MS, REPLAY_TIMEOUT_MS } from "../support/replay/time.ts";

const BEGINS = 6;
const LAST = 125;

/**
 * Five owners have to be refused before it is taken for the API's trouble, and at most 16 runs are under way when it
 * is. Each of them asks twice and needs up to two keys: one at first, one anew.
 */
const MOST_CALLS = (4 + 16) * (2 + 2);

describe("valid keys refused with 401 for two hours", { timeout: REPLAY_TIMEOUT_MS }, () => {
  it("ends nobody, asks for a few owners a minute, and judges everybody after the recovery", async () => {
    await using replay = await startReplay({ judgedBy: onceAnswered(LAST + 0.5) });
    await replay.add(Array.from({ length: 120 }, (_, index) => arrival(0, index)));
    await replay.add([
      job(5, dies(7)),
      job(20, dies(15, "removed")),
      job(100, dies(100, "PAUSED")),
    ]);

    await replay.untilMinute(BEGINS - 1);
    const recover = replay.host.intercept(({ kind }) =>
      kind === "lookup" || kind === "delete" ? json(401, { detail: "Invalid API key" }) : undefined,
    );
    for (let minute = BEGINS; minute < LAST; minute += 10) {
      await replay.add(Array.from({ length: 6 }, (_, index) => arrival(minute, index)));
      await replay.untilMinute(minute + 9);
    }
    recover();
    await replay.untilMinute(LAST + 18);

    await replay.expectAllJudged();
    const during = replay.sweeps.filter(({ minute }) => minute >= BEGINS && minute <= LAST);
    const calls = during.map(({ api }) => api.calls);
    expect(Math.max(...calls)).toBeLessThanOrEqual(MOST_CALLS);
    for (const { report } of during) {
      expect(report).toMatchObject({ status: "partial", exitCode: 3 });
      expect(report.counts).toMatchObject({ completed: 0, failed: 0, held: 0 });
    }
    expect(during[0]?.health.reasons).toContain(
      "the backend is not asked: sandbox_api keeps failing, its circuit breaker is open",
    );
    expect(replay.sweeps.at(-1)?.health.status).toBe("ok");
  });
});

/** All keys of all runs differ. Every other one ends without a callback. */
function arrival(minute: number, index: number): JobSpec {
  const stale = minute + 1 + (index % 4);
  const truth = ends(stale + 5 + 3 * (index % 5), index % 3, index % 2 === 0);
  return job(stale, truth, { startedAtMs: (minute - 5) * MINUTE_MS });
}

import { describe, expect, it } from "vitest";
import { json } from "../fake-host/model.ts";
import { normally, onceTrue } from "../support/replay/checks.ts";
import { dies, ends, type Job, type JobSpec, job } from "../support/replay/jobs.ts";
import { type Replay, startReplay } from "../support/replay/replay.ts";
import { REPLAY_TIMEOUT_MS } from "../support/replay/time.ts";

const BEGINS = 3;
const LAST = 22;

describe("half of the sandboxes falsely reported MISSING for twenty minutes", {
  timeout: REPLAY_TIMEOUT_MS,
}, () => {
  it("are a mass: nobody is ended before the lies end, and the dead are ended right after", async () => {
    await using replay = await startReplay({ judgedBy: onceTrue(LAST + 0.5) });
    const live = await replay.add(liveJobs(40));
    await replay.add([job(5, dies(4)), job(9, dies(10, "removed"))]);
    const missing = new Set(live.filter((_, index) => index % 2 === 0));

    await replay.untilMinute(BEGINS - 1);
    const tellTheTruth = reportMissing(replay, (one) => missing.has(one));
    await replay.untilMinute(LAST);
    const last = replay.sweeps.at(-1);
    tellTheTruth();
    await replay.untilMinute(LAST + 15);

    await replay.expectAllJudged();
    expect(last?.report).toMatchObject({ status: "held", exitCode: 4 });
    expect(last?.health).toMatchObject({ status: "degraded" });
    expect(last?.health.reasons.join()).toMatch(/holding: a mass: \d+ presumptions/);
    const held = replay.sweeps.filter(({ report }) => report.status === "held");
    // Confirmed by the second sweep of the lies, and over with the first one that hears the truth.
    expect(held.map(({ minute }) => minute)).toEqual(range(BEGINS + 1, LAST));
    expect(replay.sweeps.at(-1)?.health.status).toBe("ok");
  });

  it("and the other half in the next minute confirm nothing: the dead are ended as in quiet times", async () => {
    await using replay = await startReplay({ judgedBy: normally });
    // So few that the guard alone would let them pass.
    const live = await replay.add(liveJobs(10));
    await replay.add([job(5, dies(4)), job(9, dies(10, "removed"))]);
    const half = (one: Job) => live.indexOf(one) % 2;

    await replay.untilMinute(BEGINS - 1);
    const tellTheTruth = reportMissing(
      replay,
      (one) => live.includes(one) && half(one) === replay.minute % 2,
    );
    await replay.untilMinute(LAST);
    tellTheTruth();
    await replay.untilMinute(LAST + 15);

    await replay.expectAllJudged();
    const during = replay.sweeps.filter(({ minute }) => minute >= BEGINS && minute <= LAST);
    for (const { report } of during) expect(report.counts.suspected).toBeGreaterThan(0);
    expect(new Set(replay.sweeps.map(({ report }) => report.status))).toEqual(new Set(["ok"]));
  });
});

function reportMissing(replay: Replay, lies: (job: Job) => boolean): () => void {
  const jobs = new Map(replay.jobs.map((one) => [one.sandboxId, one]));
  return replay.host.intercept(({ kind, sandboxId: id }) => {
    const one = jobs.get(id ?? "");
    if (kind !== "lookup" || one === undefined || !lies(one)) return undefined;
    return json(200, [{ id, status: "MISSING", session_api_key: null, exposed_urls: null }]);
  });
}

/** They end all along, most of them while they are lied about; half of them without a callback. */
function liveJobs(count: number): readonly JobSpec[] {
  return Array.from({ length: count }, (_, index) => {
    const minute = 8 + Math.floor((28 * index) / count);
    return job(index % 3, ends(minute, index % 3, index % 4 < 2));
  });
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

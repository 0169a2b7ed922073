import { describe, expect, it } from "vitest";
import { html } from "../fake-host/model.ts";
import { onceAnswered } from "../support/replay/checks.ts";
import { dies, ends, type JobSpec, job } from "../support/replay/jobs.ts";
import { startReplay } from "../support/replay/replay.ts";
import { REPLAY_TIMEOUT_MS } from "../support/replay/time.ts";

const BEGINS = 4;
const LAST = 13;

describe("agent servers that answer 502 for ten minutes", { timeout: REPLAY_TIMEOUT_MS }, () => {
  it("end no run that is alive, and everybody is judged soon after the recovery", async () => {
    await using replay = await startReplay({ judgedBy: onceAnswered(LAST + 0.5) });
    const live = await replay.add(Array.from({ length: 24 }, (_, index) => liveJob(index)));
    await replay.add([dies(0), dies(4), dies(8)].map((truth, index) => job(4 * index, truth)));
    // Not stale yet: these could be asked for a sign of life.
    await replay.add(Array.from({ length: 4 }, () => job(20, ends(21, 0, true))));

    await replay.untilMinute(BEGINS - 1);
    const recover = replay.host.intercept(({ kind }) =>
      AGENT.has(kind) ? html(502, "Bad Gateway") : undefined,
    );
    await replay.untilMinute(LAST);
    recover();
    await replay.untilMinute(LAST + 18);

    await replay.expectAllJudged();
    const during = replay.sweeps.filter(({ minute }) => minute >= BEGINS && minute <= LAST);
    const lookups = during.flatMap(({ api }) => api.lookups);
    const times = live.map(({ sandboxId }) => lookups.filter((id) => id === sandboxId).length);
    // At a growing distance: at once, and after one, three and seven minutes.
    expect(Math.max(...times)).toBe(4);
    const last = during.at(-1);
    expect(last?.report).toMatchObject({ status: "held", exitCode: 4, counts: { held: 2 } });
    expect(last?.health.reasons).toContain("holding: no sign of life from any run");
    expect(replay.sweeps.at(-1)?.health.status).toBe("ok");
  });
});

const AGENT: ReadonlySet<string> = new Set(["events", "event", "server-info", "probe"]);

/** Half of them end while their servers cannot say so; half of all have no callback. */
function liveJob(index: number): JobSpec {
  const minute = index % 2 === 0 ? 5 + (index % 8) : 14 + (index % 10);
  return job(index % 6, ends(minute, index % 3, index % 4 < 2));
}

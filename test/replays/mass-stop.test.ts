import { describe, expect, it } from "vitest";
import { type SeededAutomation, seedAutomation } from "../fake-host/seed.ts";
import { normally } from "../support/replay/checks.ts";
import { dies, ends, type Job, job } from "../support/replay/jobs.ts";
import { type Replay, startReplay } from "../support/replay/replay.ts";
import { MINUTE_MS } from "../support/replay/time.ts";

const STOPPED = 1000;
const PER_HOUR = 60;
const DAY = 24 * 60;
const STARTED = -5.5;
/** Half an hour of their own, and what the host adds. */
const HARD_DEADLINE = STARTED + 30 + 15;
const ALL_AT_ONCE_MS = 180_000;

describe("a mass stop of 1,000 sandboxes that is real", () => {
  it(
    "waits for a day beyond the hard deadlines, and is executed at 60 runs an hour then",
    async () => {
      await using replay = await startReplay({ judgedBy });
      await stop(replay);
      const { report, health } = lastSweep(replay);
      expect(report).toMatchObject({ status: "held", exitCode: 4, counts: { held: STOPPED } });
      expect(health).toMatchObject({
        status: "degraded",
        reasons: [
          expect.stringMatching(/^holding: a mass: 1000 presumptions, 10\d\d runs answered$/),
          expect.stringMatching(/^1000 held back by the guard, .*once --override-guard$/),
        ],
      });
      await replay.jumpToMinute(Math.floor(HARD_DEADLINE + DAY));
      const { report: before } = await replay.sweep();
      expect(before.counts).toMatchObject({ failed: 0, held: STOPPED });

      let left = STOPPED;
      for (let minute = Math.ceil(HARD_DEADLINE + DAY); left > 0; minute += 61) {
        await replay.jumpToMinute(minute);
        const { report: paced } = await replay.sweep();
        const failed = Math.min(PER_HOUR, left);
        left -= failed;
        expect(paced.counts).toMatchObject({ failed, held: left });
      }
      await replay.expectAllJudged();
      // An hour after the last of them there is nothing left to hold.
      expect(lastSweep(replay).health.status).toBe("ok");
    },
    ALL_AT_ONCE_MS,
  );

  it(
    "is executed in one sweep when a person gives a reason, and does not count against the hour",
    async () => {
      await using replay = await startReplay({ judgedBy });
      await stop(replay);
      const overrideReason = "the cluster was rebuilt";
      const { report } = await replay.sweep({ trigger: "once", overrideReason });
      expect(report).toMatchObject({ status: "ok", exitCode: 0, counts: { failed: STOPPED } });
      const { sql } = replay.world.database;
      const verdicts = await sql`
        SELECT override_reason AS reason, count(*)::int FROM watchdog.verdicts GROUP BY 1`;
      expect([...verdicts]).toEqual([{ reason: overrideReason, count: STOPPED }]);

      // These are few, and end as in quiet times.
      await replay.add([job(6, dies(6)), job(7, dies(6)), job(8, dies(7, "removed"))]);
      await replay.untilMinute(16);
      await replay.expectAllJudged();
    },
    ALL_AT_ONCE_MS,
  );
});

/** Once all of them are stale. Others live on beside them. */
async function stop(replay: Replay): Promise<void> {
  const owners: SeededAutomation[] = [];
  for (let index = 0; index < 20; index += 1) {
    owners.push(await seedAutomation(replay.world.database.sql, { timeoutS: 1800 }));
  }
  const stopped = Array.from({ length: STOPPED }, (_, index) => {
    const of = owners[index % owners.length];
    const patch = { startedAtMs: STARTED * MINUTE_MS, ...(of === undefined ? {} : { of }) };
    return job(3, dies(2), patch);
  });
  await replay.add(stopped);
  await replay.add(
    Array.from({ length: 12 }, (_, index) => job(1 + index, ends(12 + (index % 4), 0, true))),
  );
  await replay.untilMinute(4);
}

/** Those that were stopped have only the bound for the worst. */
function judgedBy(one: Job): number {
  return one.spec.of === undefined ? normally(one) : Number.POSITIVE_INFINITY;
}

function lastSweep(replay: Replay) {
  const last = replay.sweeps.at(-1);
  if (last === undefined) throw new Error("nothing was swept");
  return last;
}

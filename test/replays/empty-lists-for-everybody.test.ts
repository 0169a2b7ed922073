import { describe, expect, it } from "vitest";
import { json } from "../fake-host/model.ts";
import { onceTrue } from "../support/replay/checks.ts";
import { dies, ends, job } from "../support/replay/jobs.ts";
import { type Replay, startReplay } from "../support/replay/replay.ts";
import { REPLAY_TIMEOUT_MS } from "../support/replay/time.ts";

const BEGINS = 3;
const LAST = 32;

describe("an API that answers empty lists for everybody for half an hour", {
  timeout: REPLAY_TIMEOUT_MS,
}, () => {
  it("ends nobody: those who are not stale yet are unknown to it as well", async () => {
    await using replay = await startReplay({ judgedBy: onceTrue(LAST + 0.5) });
    // Never more at once than the guard lets pass when somebody shows life.
    await replay.add([job(4, ends(15, 0, false)), job(5, ends(38, 0, true))]);
    await replay.add([job(20, ends(39, 0, false)), job(21, ends(39, 1, true))]);
    await replay.add([job(8, dies(6))]);
    await replay.add(Array.from({ length: 4 }, () => job(40, ends(38, 0, true))));

    await lieFrom(BEGINS, LAST, replay);

    expectAllHeld(replay, "holding: no sign of life from any run");
    await replay.untilMinute(42);
    await replay.expectAllJudged();
    expect(replay.sweeps.at(-1)?.health.status).toBe("ok");
  });

  it("ends nobody when there is nobody else to ask: so many at once are a mass", async () => {
    await using replay = await startReplay({ judgedBy: onceTrue(LAST + 0.5) });
    await replay.add(Array.from({ length: 10 }, (_, index) => liveJob(index)));
    await replay.add([job(1, dies(3)), job(2, dies(4, "removed"))]);

    await lieFrom(BEGINS, LAST, replay);

    expectAllHeld(replay, "holding: a mass: 12 presumptions, 12 runs answered");
    await replay.untilMinute(40);
    await replay.expectAllJudged();
    expect(replay.sweeps.at(-1)?.health.status).toBe("ok");
  });
});

/** Both are what the API says about a sandbox it does not know. */
const NOTHING = [json(200, []), json(200, [null])];

async function lieFrom(begins: number, last: number, replay: Replay): Promise<void> {
  await replay.untilMinute(begins - 1);
  let lies = 0;
  const tellTheTruth = replay.host.intercept(({ kind }) => {
    if (kind !== "lookup") return undefined;
    lies += 1;
    return NOTHING[lies % NOTHING.length];
  });
  await replay.untilMinute(last);
  tellTheTruth();
}

function expectAllHeld(replay: Replay, reason: string): void {
  const { report, health } = replay.sweeps.at(-1) ?? {};
  expect(report).toMatchObject({ status: "held", exitCode: 4 });
  expect(report?.counts).toMatchObject({ stale: report?.counts.held });
  const held = `${report?.counts.held} held back by the guard, if they are dead: run-watchdog once --override-guard`;
  expect(health).toEqual({ status: "degraded", reasons: [reason, held] });
}

/** All of them are stale when the lies begin, and none has ended when they stop. */
function liveJob(index: number) {
  return job(index % 3, ends(34 + (index % 4), index % 2, index % 4 < 2));
}

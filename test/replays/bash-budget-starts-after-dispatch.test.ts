import { describe, expect, it } from "vitest";
import { normally } from "../support/replay/checks.ts";
import { ends, type Job, type JobSpec, job, type Truth } from "../support/replay/jobs.ts";
import { type Replay, startReplay } from "../support/replay/replay.ts";
import { MINUTE_MS, REPLAY_TIMEOUT_MS } from "../support/replay/time.ts";

/**
 * Dispatched half a minute before the sweep of minute -5. The deadline counts from there: ten minutes and a margin of two
 * make it stale at minute 7. Getting the sandbox ready took up to five minutes, so its ten minutes end by minute 10.
 */
const DISPATCHED_AT_MS = -5.5 * MINUTE_MS;
const STALE_AT = 7;
const KILLED_BY = 10;
/** Five minutes to get ready, ten to run and ten of grace: half a minute before the sweep of minute 20. */
const HARD_DEADLINE_MS = 19.5 * MINUTE_MS;
const SWEEP_BEFORE = 19;
const SWEEP_AFTER = 20;

describe("a deadline that counts from dispatch, before the command begins", {
  timeout: REPLAY_TIMEOUT_MS,
}, () => {
  it("ends no healthy run: callbacks, exit codes and the command's own time limit decide", async () => {
    await using replay = await startReplay({ judgedBy: normally });
    const healthy = [8, 9, 10].flatMap((minute) =>
      [0, 1].flatMap((exitCode) => [ends(minute, exitCode, true), ends(minute, exitCode, false)]),
    );
    await replay.add(healthy.map(dispatched));
    const killed = await replay.add([ends(KILLED_BY, -1, false)].map(dispatched));

    await replay.untilMinute(KILLED_BY + 1);

    await replay.expectAllJudged();
    expect(await verdictsOn(replay, killed)).toEqual(["proof exit_code=-1"]);
    expect(await presumptions(replay)).toEqual([]);
    const late = replay.sweeps.filter(({ minute }) => minute >= STALE_AT && minute < KILLED_BY);
    for (const { report } of late) expect(report.counts.deferred).toBeGreaterThan(0);
  });

  it("lets a run live up to the hard deadline, and ends a command that never does at its second observation", async () => {
    await using replay = await startReplay({ judgedBy: normally });
    const endless: Truth = { kind: "dies", atMs: HARD_DEADLINE_MS, sandbox: "endless" };
    const stuck = await replay.add([dispatched(endless)]);
    await replay.add(
      [
        // Seen before the hard deadline, by the sweep after it, and between the two observations that would end it.
        ends(SWEEP_BEFORE, 0, false),
        ends(SWEEP_AFTER, 0, false),
        ends(SWEEP_AFTER, 1, true),
        ends(SWEEP_AFTER + 1, 0, false),
        ends(SWEEP_AFTER + 1, 1, true),
      ].map(dispatched),
    );

    await replay.untilMinute(SWEEP_BEFORE);
    expect(await statusOf(replay, stuck)).toEqual(["RUNNING"]);
    expect(actionsOn(replay, stuck)).toEqual(["deferred"]);
    await replay.untilMinute(SWEEP_AFTER);
    expect(actionsOn(replay, stuck)).toEqual(["suspected"]);
    await replay.untilMinute(SWEEP_AFTER + 1);
    expect(actionsOn(replay, stuck)).toEqual(["failed"]);

    await replay.expectAllJudged();
    expect(await verdictsOn(replay, stuck)).toEqual(["presumption still running"]);
    expect(await presumptions(replay)).toEqual(stuck.map(({ id }) => id));
  });
});

function dispatched(truth: Truth): JobSpec {
  const deadlineAtMs = (STALE_AT - 0.5) * MINUTE_MS;
  const { timeoutS: _, ...spec } = job(STALE_AT, truth, { deadlineAtMs });
  return { ...spec, startedAtMs: DISPATCHED_AT_MS };
}

function actionsOn(replay: Replay, jobs: readonly Job[]) {
  const runs = replay.sweeps.at(-1)?.report.runs ?? [];
  return jobs.map(({ id }) => runs.find(({ runId }) => runId === id)?.action);
}

async function statusOf({ world }: Replay, jobs: readonly Job[]) {
  const rows = await Promise.all(jobs.map(({ id }) => world.row(id)));
  return rows.map(({ status }) => status);
}

async function verdictsOn({ world }: Replay, jobs: readonly Job[]) {
  const { sql } = world.database;
  const rows = await sql`
    SELECT basis || ' ' || reason AS verdict FROM watchdog.verdicts
    WHERE run_id IN ${sql(jobs.map(({ id }) => id))}`;
  return rows.map((row) => row["verdict"]);
}

async function presumptions({ world }: Replay) {
  const rows = await world.database.sql`
    SELECT run_id FROM watchdog.verdicts WHERE basis = 'presumption'`;
  return rows.map((row) => row["run_id"]);
}

/**
 * What the host's own watchdog makes of its cases, found by running it (OpenHands automation 1.26.0), and what a drop-in
 * has to make of them. Where the worker does something else, on purpose, the case says so.
 */
import { describe, expect, it } from "vitest";
import { completeRun } from "../../fake-host/callback.ts";
import { json } from "../../fake-host/model.ts";
import { type HostCase, observe, runCase, runCaseIn } from "../../support/world/host-case.ts";
import { createWorld } from "../../support/world/world.ts";

/** Past 300 s to get ready, 60 s to run and 600 s of grace. */
const TWO_HOURS_AGO = { startedAgoMs: 7_200_000 };
const DELETED = { deletions: 1 };
const KEPT = { deletions: 0 };
const COMPLETED = { status: "COMPLETED", errorDetail: null, completed: true, deadline: "kept" };
const FAILED = { status: "FAILED", completed: true, deadline: "kept" };
/** Asked again later; nothing else about the run changes. */
const DEFERRED = {
  status: "RUNNING",
  errorDetail: null,
  completed: false,
  deadline: "ahead",
  ...KEPT,
};
const UNAVAILABLE = { ...FAILED, errorDetail: "Timed out: Sandbox not available" };

const cases: readonly HostCase[] = [
  {
    name: "exit code 0 with output completes the run",
    output: { exitCode: 0, stdout: "done" },
    expected: { ...COMPLETED, statusDetail: "json null", ...DELETED },
  },
  {
    name: "exit code 0 completes the run and keeps a sandbox that is to be kept",
    run: { automation: { keepAlive: true } },
    output: { exitCode: 0 },
    expected: { ...COMPLETED, ...KEPT },
  },
  {
    name: "exit code -1 is a time-out that a late callback may overturn",
    output: { exitCode: -1, stderr: "Command timed out after 60 seconds" },
    expected: {
      ...FAILED,
      errorDetail:
        "Timed out: command timed out or was killed\nstderr: Command timed out after 60 seconds",
      ...DELETED,
    },
  },
  {
    name: "no exit code defers the run",
    output: { exitCode: null, stdout: "step 1" },
    expected: { ...DEFERRED, statusDetail: "json null" },
  },
  {
    name: "exit code 1 fails the run with its output",
    output: { exitCode: 1, stdout: "Some output", stderr: "Error: something went wrong" },
    expected: {
      ...FAILED,
      errorDetail: "exit_code=1\nstderr: Error: something went wrong\nstdout: Some output",
      ...DELETED,
    },
  },
  {
    name: "exit code 127 fails the run",
    output: { exitCode: 127, stderr: "bash: command not found" },
    expected: {
      ...FAILED,
      errorDetail: "exit_code=127\nstderr: bash: command not found",
      ...DELETED,
    },
  },
  {
    name: "exit code 3 records the first run of an automation made from a template",
    run: { automation: { presetMetadata: { template: { id: "t1", version: 3 } } } },
    output: { exitCode: 3 },
    expected: {
      ...FAILED,
      ...DELETED,
      firstRun: {
        status: "failure",
        failure_stage: "watchdog",
        template_version: 3,
        recorded_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00$/),
      },
    },
  },
  // Here the worker takes its time: a presumption is confirmed, and has to pass the guard.
  ...[null, true, false].map((keepAlive) => ({
    name: `a PAUSED sandbox fails the run with keep_alive ${keepAlive}`,
    run: { automation: { keepAlive } },
    sandbox: { status: "PAUSED" as const },
    expected: { ...UNAVAILABLE, ...(keepAlive === true ? KEPT : DELETED) },
  })),
  {
    name: "an empty entry in the place of the sandbox fails the run",
    answers: { lookup: json(200, [null]) },
    expected: UNAVAILABLE,
  },
  {
    name: "a run without a sandbox id fails",
    run: { sandboxId: null },
    expected: {
      ...FAILED,
      errorDetail: "Timed out: No sandbox_id available for verification",
      ...KEPT,
    },
  },
  {
    name: "429 to the bash search leaves the run running",
    answers: { events: json(429, { error: "Rate limit exceeded" }) },
    expected: {
      ...DEFERRED,
      statusDetail: {
        phase: "verification",
        kind: "rate_limited",
        detail: "agent_server bash_events_search returned HTTP 429",
        transient: true,
        fingerprint: "agent_server:bash_events_search:rate_limited:429",
        count: 1,
      },
    },
  },
  {
    name: "a bash search without an answer leaves the run running",
    env: { WATCHDOG_VERIFY_TIMEOUT: "1s" },
    answers: { events: "silence" },
    expected: {
      ...DEFERRED,
      statusDetail: { kind: "timeout", fingerprint: "agent_server:bash_events_search:timeout:" },
    },
  },
  {
    name: "429 from the sandbox API leaves the run running",
    answers: { lookup: json(429, { error: "Rate limit exceeded" }) },
    expected: {
      ...DEFERRED,
      statusDetail: { fingerprint: "sandbox_api:get_sandbox:rate_limited:429" },
    },
  },
  {
    name: "no output yet defers the run by a minute at most",
    expected: { ...DEFERRED, statusDetail: "json null", nextLook: "within a minute" },
  },
  {
    name: "no output two hours after the start fails the run",
    run: TWO_HOURS_AGO,
    expected: { ...FAILED, errorDetail: "Timed out: No bash output found", ...DELETED },
  },
  {
    name: "partial output two hours after the start fails the run",
    run: TWO_HOURS_AGO,
    output: { exitCode: null, stdout: "step 1" },
    expected: { ...FAILED, errorDetail: "Timed out: Command still running", ...DELETED },
  },
  // The host's own write fails here, and the run stays RUNNING for ever.
  {
    name: "a NUL byte in stderr is left out of what is stored",
    output: { exitCode: 2, stderr: "be\0fore" },
    expected: { ...FAILED, errorDetail: "exit_code=2\nstderr: before", ...DELETED },
  },
  // The host takes the exit code of whatever ran last in the sandbox.
  {
    name: "the exit codes of other commands say nothing about a run without a command id",
    run: { bashCommandId: null },
    sandbox: { outputs: [{ commandId: "f".repeat(32), exitCode: 0 }] },
    expected: DEFERRED,
  },
];

describe("the host's watchdog, case by case", () => {
  for (const { name, ...each } of cases) {
    it(name, async () => {
      expect(await runCase(each)).toMatchObject(each.expected);
    });
  }

  it("counts on when 429 to the bash search comes again", async () => {
    await using world = await createWorld();
    const answers = { events: json(429, { error: "Rate limit exceeded" }) };
    const run = await runCaseIn(world, { answers });
    await world.sweep({ runIds: [run.id] });
    expect(await observe(world, run)).toMatchObject({ ...DEFERRED, statusDetail: { count: 2 } });
    expect(
      await world.database.sql`
        SELECT (status_detail->>'last_seen_at')::timestamptz
             > (status_detail->>'first_seen_at')::timestamptz AS "seenLater"
        FROM automation_runs`,
    ).toEqual([{ seenLater: true }]);
  });

  it("leaves a run to the callback that comes while it is verified", async () => {
    await using world = await createWorld();
    const run = await runCaseIn(world, {
      output: { exitCode: 1, stderr: "too late" },
      during: ({ id: runId }) =>
        completeRun(world.database.sql, {
          runId,
          status: "COMPLETED",
          conversationId: "conversation-1",
          cost: 0.25,
        }),
    });
    expect(await observe(world, run)).toMatchObject({
      ...COMPLETED,
      statusDetail: "json null",
      columns: { conversation_id: "conversation-1", cost: 0.25 },
      ...KEPT,
    });
    expect(await world.database.sql`SELECT FROM watchdog.verdicts`).toHaveLength(0);
  });

  it("keeps the sandbox of a run with a subject, and the subject", async () => {
    await using world = await createWorld();
    await world.database.sql`
      ALTER TABLE automation_runs ADD COLUMN IF NOT EXISTS subject_key varchar(500),
                                  ADD COLUMN IF NOT EXISTS subject_released_at timestamptz`;
    const run = await runCaseIn(world, {
      run: { automation: { keepAlive: true } },
      output: { exitCode: 0 },
      before: ({ id }) =>
        world.database.sql`
          UPDATE automation_runs SET subject_key = 'repo#7', subject_released_at = NULL
          WHERE id = ${id}`,
    });
    expect(await observe(world, run)).toMatchObject({
      ...COMPLETED,
      columns: { subject_key: "repo#7", subject_released_at: null },
      ...KEPT,
    });
  });
});

import { describe, expect, it } from "vitest";
import type { Evidence, Verdict } from "../../src/rules/model.ts";
import { judge } from "../../src/rules/verdict.ts";
import { BEGAN_AT_MS, failure, POLICY, READ_AT, snapshot } from "../support/stands/snapshot.ts";

const HARD_DEADLINE_MS = BEGAN_AT_MS + 1_500_000;
const EARLY_MS = BEGAN_AT_MS + 800_000;

const SEEN = { first_seen_at: READ_AT, last_seen_at: READ_AT, count: 1 };

interface Case {
  readonly name: string;
  readonly evidence: Evidence;
  readonly atMs?: number;
  readonly expected: object;
}

describe("judge", () => {
  const proofs: readonly Case[] = [
    {
      name: "completes a run whose command exited with 0, whatever it printed",
      evidence: { kind: "exited", exitCode: 0, stdout: "out", stderr: "err" },
      expected: { kind: "complete", basis: "proof", reason: "exit_code=0" },
    },
    {
      name: "fails a command that was killed, with the end of stderr and without stdout",
      evidence: { kind: "exited", exitCode: -1, stdout: "out", stderr: "err" },
      expected: fails(
        "proof",
        "exit_code=-1",
        "Timed out: command timed out or was killed\nstderr: err",
        {
          phase: "execution",
          kind: "timeout",
          detail: "command timed out or was killed\nstderr: err",
          transient: false,
          fingerprint: "execution:agent_server:verify_run:timeout",
          ...SEEN,
          source: "agent_server",
          operation: "verify_run",
          code: "-1",
          formatted_detail: "Timed out: command timed out or was killed\nstderr: err",
        },
      ),
    },
    {
      name: "fails a command that was killed before it wrote to stderr",
      evidence: { kind: "exited", exitCode: -1, stdout: "out", stderr: "" },
      expected: { errorDetail: "Timed out: command timed out or was killed" },
    },
    {
      name: "fails a command that exited with 1, with the ends of both outputs",
      evidence: { kind: "exited", exitCode: 1, stdout: "out", stderr: "err" },
      expected: fails("proof", "exit_code=1", "exit_code=1\nstderr: err\nstdout: out", {
        phase: "execution",
        kind: "execution_error",
        detail: "exit_code=1\nstderr: err\nstdout: out",
        transient: false,
        fingerprint: "execution:agent_server:verify_run:execution_error",
        ...SEEN,
        source: "agent_server",
        operation: "verify_run",
        code: "1",
      }),
    },
    {
      name: "fails a command with a negative exit code other than -1 as a proof without the prefix",
      evidence: { kind: "exited", exitCode: -2, stdout: "", stderr: "" },
      expected: { kind: "fail", basis: "proof", errorDetail: "exit_code=-2" },
    },
    {
      name: "fails a run that was stated to have failed, without a code",
      evidence: { kind: "failed", detail: "out of disk", stdout: "out", stderr: "err" },
      expected: fails("proof", "failed", "Run failed: out of disk\nstderr: err\nstdout: out", {
        phase: "execution",
        kind: "execution_error",
        detail: "Run failed: out of disk\nstderr: err\nstdout: out",
        transient: false,
        fingerprint: "execution:agent_server:verify_run:execution_error",
        ...SEEN,
        source: "agent_server",
        operation: "verify_run",
      }),
    },
  ];

  const signsOfLife: readonly Case[] = [
    {
      name: "defers a running command one millisecond before the hard deadline",
      evidence: { kind: "running", output: "partial" },
      atMs: HARD_DEADLINE_MS - 1,
      expected: { kind: "defer", reason: "running" },
    },
    {
      name: "fails a running command at the hard deadline",
      evidence: { kind: "running", output: "partial" },
      atMs: HARD_DEADLINE_MS,
      expected: presumes("still running", "Command still running", "timeout", "still_running"),
    },
    {
      name: "defers a command without output one millisecond before the hard deadline",
      evidence: { kind: "running", output: "none" },
      atMs: HARD_DEADLINE_MS - 1,
      expected: { kind: "defer", reason: "running" },
    },
    {
      name: "fails a command without output at the hard deadline",
      evidence: { kind: "running", output: "none" },
      atMs: HARD_DEADLINE_MS,
      expected: presumes("still running", "No bash output found", "timeout", "still_running"),
    },
    {
      name: "defers a starting sandbox one millisecond before the hard deadline",
      evidence: { kind: "starting" },
      atMs: HARD_DEADLINE_MS - 1,
      expected: { kind: "defer", reason: "starting" },
    },
    {
      name: "fails a starting sandbox at the hard deadline",
      evidence: { kind: "starting" },
      atMs: HARD_DEADLINE_MS,
      expected: unavailable("starting"),
    },
    {
      name: "defers a run without a command one millisecond before the hard deadline",
      evidence: { kind: "no-command", sandbox: "running" },
      atMs: HARD_DEADLINE_MS - 1,
      expected: { kind: "defer", reason: "no bash_command_id" },
    },
    {
      name: "fails a run without a command at the hard deadline",
      evidence: { kind: "no-command", sandbox: "running" },
      atMs: HARD_DEADLINE_MS,
      expected: presumes(
        "no bash_command_id",
        "No bash_command_id available for verification",
        "timeout",
        "verification_error",
      ),
    },
  ];

  const gone: readonly Case[] = [
    ...(["no-record", "missing", "paused", "error", "no-agent-server"] as const).map((reason) => ({
      name: `fails a run whose sandbox is gone (${reason}) at the first observation`,
      evidence: { kind: "gone" as const, reason },
      expected: unavailable(`sandbox ${reason}`),
    })),
    {
      name: "fails a run that never got a sandbox id",
      evidence: { kind: "gone", reason: "no-sandbox-id" },
      expected: unavailable("no-sandbox-id", "No sandbox_id available for verification"),
    },
    {
      name: "fails a run whose command the agent server does not know, before the hard deadline",
      evidence: { kind: "gone", reason: "command-unknown" },
      expected: unavailable("command unknown", "The agent server does not know the command"),
    },
    {
      name: "fails a run whose agent server restarted after it began, before the hard deadline",
      evidence: { kind: "gone", reason: "server-restarted" },
      expected: unavailable(
        "agent server restarted",
        "The agent server restarted after the command began",
      ),
    },
    {
      name: "fails a run that the backend calls lost, in the backend's words",
      evidence: { kind: "gone", reason: "lost", detail: "node\0 evicted" },
      expected: unavailable("lost", "node evicted"),
    },
    {
      name: "fails a run that the backend calls lost without a word",
      evidence: { kind: "gone", reason: "lost", detail: "" },
      expected: unavailable("lost", "Run was lost"),
    },
    {
      name: "fails a run that the backend calls lost with nothing that can be stored",
      evidence: { kind: "gone", reason: "lost", detail: "\0\uD800" },
      expected: unavailable("lost", "Run was lost"),
    },
  ];

  const cannotTell: readonly Case[] = (["unreachable", "malformed"] as const).flatMap((kind) => [
    {
      name: `leaves a run alone whose backend is ${kind}, and says why`,
      evidence: { kind, failure: failure() },
      expected: undecided({
        kind: "rate_limited",
        detail: "sandbox_api get_sandbox returned HTTP 429",
        transient: true,
        fingerprint: "sandbox_api:get_sandbox:rate_limited:429",
        ...SEEN,
        source: "sandbox_api",
        operation: "get_sandbox",
        status_code: 429,
      }),
    },
    {
      name: `leaves a run alone whose backend is ${kind} without a status, long after the hard deadline`,
      evidence: {
        kind,
        failure: failure({ kind: "timeout", statusCode: null, message: "timed out" }),
      },
      atMs: HARD_DEADLINE_MS + 30 * 86_400_000,
      expected: undecided({
        kind: "timeout",
        detail: "timed out",
        transient: true,
        fingerprint: "sandbox_api:get_sandbox:timeout:",
        ...SEEN,
        source: "sandbox_api",
        operation: "get_sandbox",
      }),
    },
  ]);

  for (const { name, evidence, atMs, expected } of [
    ...proofs,
    ...signsOfLife,
    ...gone,
    ...cannotTell,
  ]) {
    it(name, () => {
      expect(readable(judge(snapshot(), evidence, POLICY, atMs ?? EARLY_MS))).toMatchObject(
        expected,
      );
    });
  }

  it("continues the count of the status_detail it read", () => {
    const before = { fingerprint: "sandbox_api:get_sandbox:rate_limited:429", count: 2 };
    const run = snapshot({ statusDetail: { ...before, first_seen_at: "earlier" } });
    const verdict = judge(run, { kind: "unreachable", failure: failure() }, POLICY, EARLY_MS);
    expect(readable(verdict)).toMatchObject({
      statusDetail: { first_seen_at: "earlier", last_seen_at: READ_AT, count: 3 },
    });
  });
});

function fails(basis: string, reason: string, errorDetail: string, statusDetail: object) {
  return { kind: "fail", basis, reason, errorDetail, statusDetail };
}

function presumes(reason: string, detail: string, kind: string, outcome: string) {
  return fails("presumption", reason, `Timed out: ${detail}`, {
    phase: "verification",
    kind,
    detail,
    transient: false,
    fingerprint: `verification:automation_service:verify_run:${kind}`,
    ...SEEN,
    source: "automation_service",
    operation: "verify_run",
    verification_outcome: outcome,
  });
}

function unavailable(reason: string, detail = "Sandbox not available") {
  return presumes(reason, detail, "environment_unavailable", "environment_unavailable");
}

function undecided(statusDetail: Readonly<Record<string, unknown>>) {
  return {
    kind: "undetermined",
    reason: statusDetail["detail"],
    statusDetail: { phase: "verification", ...statusDetail },
  };
}

function readable(verdict: Verdict) {
  return "statusDetail" in verdict
    ? { ...verdict, statusDetail: JSON.parse(verdict.statusDetail) }
    : verdict;
}

import { json } from "../../fake-host/model.ts";
import { type Answer, type VerdictCase, verdictTable } from "../../support/world/verdict-cases.ts";
import {
  completed,
  deferred,
  type Expected,
  exited,
  killed,
  presumed,
  stated,
  unavailable,
  undetermined,
} from "../../support/world/verdict-expected.ts";

const AT_HARD_DEADLINE = { startedAgoMs: 1_500_000 };
const VERIFY = { source: "verify_endpoint", operation: "verify" } as const;
const ENDED = "verify cleanup";
const SHAPE = "answered with an unexpected shape";
const CONTRADICTION = "answered with a state and an exit code that contradict each other";

const stillRunning = presumed({
  reason: "still running",
  detail: "Command still running",
  kind: "timeout",
  outcome: "still_running",
  asked: "verify",
});

verdictTable(
  "a sweep over the http backend",
  [
    answered("succeeded", { state: "succeeded" }, completed(ENDED)),
    answered("succeeded with exit code 0", { state: "succeeded", exit_code: 0 }, completed(ENDED)),
    answered(
      "succeeded without a sandbox",
      { state: "succeeded", exit_code: null },
      completed("verify"),
      { sandboxId: null },
    ),
    answered(
      "failed with exit code 5",
      { state: "failed", exit_code: 5, stdout: "out", stderr: "err", detail: "not shown" },
      exited(5, "exit_code=5\nstderr: err\nstdout: out", ENDED),
    ),
    answered(
      "failed with exit code -1",
      { state: "failed", exit_code: -1 },
      killed("command timed out or was killed", ENDED),
    ),
    answered(
      "failed without an exit code",
      { state: "failed", detail: "no space\0 left", stderr: "ENOSPC" },
      stated("Run failed: no space left\nstderr: ENOSPC", ENDED),
    ),
    answered("failed without a word", { state: "failed" }, stated("Run failed", ENDED)),
    answered(
      "failed in the words of a presumption",
      { state: "failed", detail: "Timed out: Sandbox not available" },
      stated("Run failed: Timed out: Sandbox not available", ENDED),
    ),
    answered("running", { state: "running", stdout: "step 1" }, deferred("running", "verify")),
    answered("running at the hard deadline", { state: "running" }, stillRunning, AT_HARD_DEADLINE),
    answered("running without a command id", { state: "running" }, deferred("running", "verify"), {
      sandboxId: null,
      bashCommandId: null,
    }),
    answered("starting", { state: "starting" }, deferred("starting", "verify")),
    answered(
      "starting at the hard deadline",
      { state: "starting" },
      unavailable("starting", "verify"),
      AT_HARD_DEADLINE,
    ),
    answered("lost", { state: "lost" }, lost("Run was lost")),
    answered("lost with a reason", { state: "lost", detail: "node\0 gone" }, lost("node gone")),
    ...[
      { state: "succeeded", exit_code: 1 },
      { state: "failed", exit_code: 0 },
      { state: "running", exit_code: 0 },
      { state: "starting", exit_code: 1 },
      { state: "lost", exit_code: 137 },
    ].map((body) =>
      answered(
        `${body.state} with exit code ${body.exit_code}`,
        body,
        undetermined({ ...VERIFY, what: CONTRADICTION }, "verify"),
        AT_HARD_DEADLINE,
      ),
    ),
    unreadable("an unknown state", json(200, { state: "paused" }), SHAPE),
    unreadable("no state", json(200, { exit_code: 0 }), SHAPE),
    unreadable("a state in capitals", json(200, { state: "SUCCEEDED" }), SHAPE),
    unreadable("an exit code that is text", json(200, { state: "failed", exit_code: "1" }), SHAPE),
    unreadable("null", json(200, null), SHAPE),
    unreadable(
      "text without a format",
      { status: 200, body: "ok" },
      "answered with something that is not JSON",
    ),
    unreadable(
      "17 MiB",
      json(200, { state: "succeeded", stdout: "x".repeat(17 * 1024 * 1024) }),
      "answered with more than 16777216 bytes",
    ),
    ...[201, 302, 400, 401, 403, 404, 410, 422].map((status) => refused(status, "unknown")),
    refused(408, "timeout"),
    refused(429, "rate_limited"),
    ...[500, 502, 503].map((status) => refused(status, "server_error")),
    {
      name: "a reset leaves the run running",
      run: AT_HARD_DEADLINE,
      answers: { verify: "reset" },
      expected: undetermined(
        { ...VERIFY, kind: "transport", what: "transport error: ECONNRESET" },
        "verify",
      ),
    },
  ],
  {
    env: ({ url }) => ({
      WATCHDOG_BACKEND: "http",
      WATCHDOG_HTTP_VERIFY_URL: `${url}/verify/{run_id}?sandbox={sandbox_id}`,
      WATCHDOG_HTTP_CLEANUP_URL: `${url}/cleanup/{sandbox_id}`,
    }),
    shared: {},
    answers: { cleanup: { status: 204 } },
  },
);

function answered(
  state: string,
  body: object,
  expected: Expected,
  run: VerdictCase["run"] = {},
): VerdictCase {
  const end = expected.status === "RUNNING" ? "leaves the run running" : "ends the run";
  return { name: `${state} ${end}`, run, answers: { verify: json(200, body) }, expected };
}

function unreadable(name: string, verify: Answer, what: string): VerdictCase {
  return {
    name: `${name} in the place of a state leaves the run running`,
    run: AT_HARD_DEADLINE,
    answers: { verify },
    expected: undetermined({ ...VERIFY, what }, "verify"),
  };
}

function refused(status: number, kind: string): VerdictCase {
  return {
    name: `status ${status} leaves the run running, whatever the body says`,
    run: AT_HARD_DEADLINE,
    answers: { verify: json(status, { state: "succeeded" }) },
    expected: undetermined({ ...VERIFY, kind, status }, "verify"),
  };
}

function lost(detail: string): Expected {
  const kind = "environment_unavailable";
  return presumed({ reason: "lost", detail, kind, outcome: kind, asked: "verify" });
}

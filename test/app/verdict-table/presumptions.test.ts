import { json } from "../../fake-host/model.ts";
import { type Answer, verdictTable } from "../../support/world/verdict-cases.ts";
import { deferred, presumed, unavailable } from "../../support/world/verdict-expected.ts";

/** 300 s to get ready, 600 s to run and 600 s of grace have passed; a run of 900 s has 600 s left. */
const AT_HARD_DEADLINE = { startedAgoMs: 1_500_000 };
/** No exit: the server is asked what else it knows. */
const INQUIRED = "mint lookup events event server-info";
const LOOKED_UP = "mint lookup";

const stillRunning = (detail: string) =>
  presumed({
    reason: "still running",
    detail,
    kind: "timeout",
    outcome: "still_running",
    asked: INQUIRED,
  });
const noCommand = presumed({
  reason: "no bash_command_id",
  detail: "No bash_command_id available for verification",
  kind: "timeout",
  outcome: "verification_error",
  asked: LOOKED_UP,
});
const noSandboxId = presumed({
  reason: "no-sandbox-id",
  detail: "No sandbox_id available for verification",
  kind: "environment_unavailable",
  outcome: "environment_unavailable",
  asked: "",
  cleanup: "none",
});

verdictTable("a sweep that meets signs of life", [
  {
    name: "a command without output yet is deferred before the hard deadline",
    run: { statusDetail: { fingerprint: "x", first_seen_at: "then", count: 4 } },
    expected: deferred("running", INQUIRED),
  },
  {
    name: "a command without output yet is presumed dead at the hard deadline",
    run: AT_HARD_DEADLINE,
    expected: stillRunning("No bash output found"),
  },
  {
    name: "a command with output and no exit code is deferred before the hard deadline",
    output: { exitCode: null, stdout: "step 1" },
    expected: deferred("running", INQUIRED),
  },
  {
    name: "a command with output and no exit code is presumed dead at the hard deadline",
    run: AT_HARD_DEADLINE,
    output: { exitCode: null, stdout: "step 1" },
    expected: stillRunning("Command still running"),
  },
  {
    name: "a sandbox that is STARTING is deferred before the hard deadline",
    sandbox: { status: "STARTING" },
    expected: deferred("starting", LOOKED_UP),
  },
  {
    name: "a sandbox that is STARTING is presumed dead at the hard deadline",
    run: AT_HARD_DEADLINE,
    sandbox: { status: "STARTING" },
    expected: unavailable("starting", LOOKED_UP),
  },
]);

verdictTable("a sweep that misses an id", [
  {
    name: "no sandbox id is presumed dead without a question, and nothing is deleted",
    run: { sandboxId: null },
    expected: noSandboxId,
  },
  {
    name: "an empty sandbox id is none",
    run: { sandboxId: "" },
    expected: noSandboxId,
  },
  {
    name: "no command id is deferred before the hard deadline, without a search",
    run: { bashCommandId: null },
    expected: deferred("no bash_command_id", LOOKED_UP),
  },
  {
    name: "no command id is presumed dead at the hard deadline, without a search",
    run: { ...AT_HARD_DEADLINE, bashCommandId: null },
    expected: noCommand,
  },
  {
    name: "an empty command id is none",
    run: { ...AT_HARD_DEADLINE, bashCommandId: "" },
    expected: noCommand,
  },
  {
    name: "no command id in a sandbox that is PAUSED is a matter of the sandbox",
    run: { bashCommandId: null },
    sandbox: { status: "PAUSED" },
    expected: unavailable("sandbox paused", LOOKED_UP),
  },
]);

verdictTable("a sweep that meets a sandbox that is gone", [
  {
    name: "a sandbox the host does not know is presumed dead",
    sandbox: null,
    expected: unavailable("sandbox no-record", LOOKED_UP),
  },
  {
    name: "null in the place of the list is presumed dead",
    answers: { lookup: json(200, null) },
    expected: unavailable("sandbox no-record", LOOKED_UP),
  },
  {
    name: "an empty list is presumed dead",
    answers: { lookup: json(200, []) },
    expected: unavailable("sandbox no-record", LOOKED_UP),
  },
  {
    name: "a sandbox of another user is presumed dead",
    sandbox: { userId: "00000000-0000-4000-8000-00000000beef" },
    expected: unavailable("sandbox no-record", LOOKED_UP),
  },
  {
    name: "MISSING is presumed dead",
    sandbox: { status: "MISSING" },
    expected: unavailable("sandbox missing", LOOKED_UP),
  },
  {
    name: "PAUSED is presumed dead",
    sandbox: { status: "PAUSED" },
    expected: unavailable("sandbox paused", LOOKED_UP),
  },
  {
    name: "ERROR is presumed dead",
    sandbox: { status: "ERROR" },
    expected: unavailable("sandbox error", LOOKED_UP),
  },
  {
    name: "RUNNING without an AGENT_SERVER url is presumed dead",
    sandbox: { agentUrl: null },
    expected: unavailable("sandbox no-agent-server", LOOKED_UP),
  },
  {
    name: "RUNNING with urls of null is presumed dead",
    answers: { lookup: running({ exposed_urls: null }) },
    expected: unavailable("sandbox no-agent-server", LOOKED_UP),
  },
  {
    name: "RUNNING with an agent server without a url is presumed dead",
    answers: { lookup: running({ exposed_urls: [null, { name: "AGENT_SERVER", url: null }] }) },
    expected: unavailable("sandbox no-agent-server", LOOKED_UP),
  },
  {
    name: "a sandbox to keep is presumed dead and not deleted",
    run: { automation: { keepAlive: true } },
    sandbox: { status: "MISSING" },
    expected: {
      ...unavailable("sandbox missing", LOOKED_UP),
      ...notToBeDeleted("sandbox missing"),
    },
  },
]);

function running(record: object): Answer {
  const healthy = { status: "RUNNING", session_api_key: "session-key" };
  return ({ sandboxId: id }) => json(200, [{ id, ...healthy, ...record }]);
}

function notToBeDeleted(reason: string) {
  return { journal: { verdict: `FAILED, presumption, ${reason}`, cleanup: "none" } };
}

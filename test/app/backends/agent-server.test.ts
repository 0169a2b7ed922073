import { describe, expect, it } from "vitest";
import { html, json } from "../../fake-host/model.ts";
import { verdictTable } from "../../support/world/verdict-cases.ts";
import {
  completed,
  deferred,
  exited,
  killed,
  presumed,
  undetermined,
} from "../../support/world/verdict-expected.ts";
import { createWorld, exitedWith, randomCommandId } from "../../support/world/world.ts";

const SHARED = "shared";
const KEY = "local-key";
const SEARCH = { source: "agent_server", operation: "bash_events_search" } as const;
/** Runs on a shared agent server have no sandbox. */
const LOCAL = { sandboxId: null };
const AT_HARD_DEADLINE = { ...LOCAL, startedAgoMs: 1_500_000 };

verdictTable(
  "a sweep over one shared agent server",
  [
    {
      name: "exit code 0 completes the run",
      run: LOCAL,
      output: { exitCode: 0 },
      expected: completed("events"),
    },
    {
      name: "a run with a sandbox all the same is completed, and nothing is deleted",
      output: { exitCode: 0 },
      expected: completed("events"),
    },
    {
      name: "exit code 2 fails the run with both tails",
      run: LOCAL,
      output: { exitCode: 2, stdout: "out", stderr: "err" },
      expected: exited(2, "exit_code=2\nstderr: err\nstdout: out", "events"),
    },
    {
      name: "exit code -1 is a kill",
      run: LOCAL,
      output: { exitCode: -1 },
      expected: killed("command timed out or was killed", "events"),
    },
    {
      name: "no output is deferred before the hard deadline",
      run: LOCAL,
      expected: deferred("running", "events"),
    },
    {
      name: "no exit code is deferred before the hard deadline",
      run: LOCAL,
      output: { exitCode: null, stdout: "step 1" },
      expected: deferred("running", "events"),
    },
    {
      name: "no output is presumed dead at the hard deadline, and nothing is to be deleted",
      run: { startedAgoMs: 1_500_000 },
      expected: presumed({
        reason: "still running",
        detail: "No bash output found",
        kind: "timeout",
        outcome: "still_running",
        asked: "events",
        cleanup: "none",
      }),
    },
    {
      name: "no exit code is presumed dead at the hard deadline, and nothing is to be deleted",
      run: { startedAgoMs: 1_500_000 },
      output: { exitCode: null, stdout: "step 1" },
      expected: presumed({
        reason: "still running",
        detail: "Command still running",
        kind: "timeout",
        outcome: "still_running",
        asked: "events",
        cleanup: "none",
      }),
    },
    {
      name: "no command id is deferred before the hard deadline, without a search",
      run: { ...LOCAL, bashCommandId: null },
      expected: deferred("no bash_command_id", ""),
    },
    {
      name: "no command id is presumed dead at the hard deadline, without a search",
      run: { ...AT_HARD_DEADLINE, bashCommandId: null },
      expected: presumed({
        reason: "no bash_command_id",
        detail: "No bash_command_id available for verification",
        kind: "timeout",
        outcome: "verification_error",
        asked: "",
        cleanup: "none",
      }),
    },
    {
      name: "503 leaves the run running",
      run: AT_HARD_DEADLINE,
      answers: { events: json(503, { detail: "Server is not initialized" }) },
      expected: undetermined({ ...SEARCH, kind: "server_error", status: 503 }, "events"),
    },
    {
      name: "a reset leaves the run running",
      run: AT_HARD_DEADLINE,
      answers: { events: "reset" },
      expected: undetermined(
        { ...SEARCH, kind: "transport", what: "transport error: ECONNRESET" },
        "events",
      ),
    },
    {
      name: "a refused key leaves the run running: there is no other one",
      run: AT_HARD_DEADLINE,
      answers: { events: json(401, { detail: "Unauthorized" }) },
      expected: undetermined({ ...SEARCH, status: 401 }, "events"),
    },
    {
      name: "404 leaves the run running",
      run: AT_HARD_DEADLINE,
      answers: { events: html(404, "Not Found") },
      expected: undetermined({ ...SEARCH, status: 404 }, "events"),
    },
    {
      name: "a page leaves the run running",
      run: AT_HARD_DEADLINE,
      answers: { events: html(200, "It works!") },
      expected: undetermined(
        { ...SEARCH, what: "answered with something that is not JSON" },
        "events",
      ),
    },
    {
      name: "the success of another command leaves the run running",
      run: AT_HARD_DEADLINE,
      answers: {
        events: json(200, {
          items: [{ kind: "BashOutput", command_id: "f".repeat(32), exit_code: 0 }],
        }),
      },
      expected: undetermined({ ...SEARCH, what: "answered about another command" }, "events"),
    },
  ],
  {
    env: (host) => ({
      AUTOMATION_AGENT_SERVER_URL: host.agentUrl(SHARED),
      AUTOMATION_AGENT_SERVER_API_KEY: KEY,
    }),
    shared: { id: SHARED, sessionKey: KEY },
  },
);

describe("the agent-server backend", () => {
  it("sends its key to the agent server and no other", async () => {
    await using world = await createWorld();
    world.host.addSandbox({ id: SHARED, sessionKey: KEY });
    await world.seed(LOCAL);
    await world.sweep({
      env: {
        AUTOMATION_AGENT_SERVER_URL: world.host.agentUrl(SHARED),
        AUTOMATION_AGENT_SERVER_API_KEY: KEY,
      },
    });
    const [{ headers } = { headers: {} }] = world.host.requests;
    expect(headers).toMatchObject({ "x-session-api-key": KEY });
    expect(headers).not.toHaveProperty("authorization");
  });

  it("sends no key when there is none", async () => {
    await using world = await createWorld();
    const bashCommandId = randomCommandId();
    const outputs = [exitedWith(0, { bashCommandId })];
    world.host.addSandbox({ id: SHARED, agentKey: null, outputs });
    const { id } = await world.seed({ ...LOCAL, bashCommandId });
    await world.sweep({ env: { AUTOMATION_AGENT_SERVER_URL: world.host.agentUrl(SHARED) } });
    expect((await world.row(id)).status).toBe("COMPLETED");
    expect(world.host.requests[0]?.headers).not.toHaveProperty("x-session-api-key");
  });
});

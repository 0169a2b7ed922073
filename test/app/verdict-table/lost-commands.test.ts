import { describe, expect, it } from "vitest";
import { html, json, type Reply } from "../../fake-host/model.ts";
import { verdictTable } from "../../support/world/verdict-cases.ts";
import {
  completed,
  deferred,
  type Expected,
  presumed,
} from "../../support/world/verdict-expected.ts";
import { commandsOf, createWorld } from "../../support/world/world.ts";

const SEARCHED = "mint lookup events";
const SHARED = "shared";
const KEY = "local-key";
/** 300 s to get ready, 600 s to run and 600 s of grace have passed. */
const AT_HARD_DEADLINE = { startedAgoMs: 1_500_000 };
/** The fake host's commands began ten minutes ago. */
const RESTARTED = { uptimeS: 60 };
const NOT_FOUND = json(404, { detail: "Not Found" });

function unknown(): Expected {
  const detail = "The agent server does not know the command";
  return lost("command unknown", detail, `${SEARCHED} event`);
}

function restarted(): Expected {
  const detail = "The agent server restarted after the command began";
  return lost("agent server restarted", detail, `${SEARCHED} event server-info`);
}

function lost(reason: string, detail: string, asked: string): Expected {
  const kind = "environment_unavailable";
  return presumed({ reason, detail, kind, outcome: kind, asked });
}

function running(asked: string): Expected {
  return deferred("running", `${SEARCHED} ${asked}`);
}

verdictTable("a sweep that meets a command that is lost", [
  {
    name: "a command its agent server does not know is presumed lost before the hard deadline",
    sandbox: { commands: [] },
    expected: unknown(),
  },
  {
    name: "a command its agent server does not know is presumed lost at the hard deadline",
    run: AT_HARD_DEADLINE,
    sandbox: { commands: [] },
    expected: unknown(),
  },
  {
    name: "a command that is older than its agent server is presumed lost before the hard deadline",
    sandbox: RESTARTED,
    expected: restarted(),
  },
  {
    name: "a command that is older than its agent server is presumed lost at the hard deadline",
    run: AT_HARD_DEADLINE,
    sandbox: RESTARTED,
    expected: restarted(),
  },
  {
    name: "a command with output and no exit code is presumed lost when its server is younger",
    sandbox: RESTARTED,
    output: { exitCode: null, stdout: "step 1" },
    expected: restarted(),
  },
  {
    name: "an exit code that was stored before the server restarted completes the run",
    sandbox: RESTARTED,
    output: { exitCode: 0 },
    expected: completed(),
  },
  {
    name: "a command whose output is there is waited for, though its event was purged",
    output: { exitCode: null, stdout: "step 1" },
    answers: { event: NOT_FOUND },
    expected: running("event"),
  },
  ...waitedFor("event", [
    ["an ingress that has no such page", html(404, "Not Found")],
    ["a 404 in other words", json(404, { detail: "Sandbox not found" })],
    ["a refused key", json(401, { detail: "Unauthorized" })],
    ["503", json(503, { detail: "Server is not initialized" })],
    ["a reset", "reset"],
    ["another event", json(200, { kind: "BashOutput", id: "f".repeat(32) })],
  ]),
  ...waitedFor("server-info", [
    ["a page", html(200, "It works!")],
    ["a 404", NOT_FOUND],
    ["502", html(502, "Bad Gateway")],
    ["a reset", "reset"],
    ["a negative uptime", json(200, { uptime: -1, idle_time: 0 })],
    ["no uptime", json(200, { idle_time: 0 })],
    ["more idle time than uptime", json(200, { uptime: 60, idle_time: 190 })],
    ["an answer without a time", answeredAt("")],
    ["an answer from before the search", answeredAt("Sat, 22 Aug 2020 11:00:00 GMT")],
  ]),
]);

/** Not knowing is not dead. */
function waitedFor(
  question: "event" | "server-info",
  answers: readonly (readonly [what: string, answer: Reply])[],
) {
  const asked = question === "event" ? "event" : "event server-info";
  return answers.map(([what, answer]) => ({
    name: `a quiet command is waited for after ${what} to ${question}`,
    answers: { [question]: answer },
    expected: running(asked),
  }));
}

/** It would say that the server is young. */
function answeredAt(date: string): Reply {
  const reply = json(200, { uptime: 60, idle_time: 60 });
  return { ...reply, headers: { ...reply.headers, date } };
}

function sharedServer(uptimeS: number, commands?: readonly []) {
  return {
    env: (host: { agentUrl(id: string): string }) => ({
      AUTOMATION_AGENT_SERVER_URL: host.agentUrl(SHARED),
      AUTOMATION_AGENT_SERVER_API_KEY: KEY,
    }),
    shared: { id: SHARED, sessionKey: KEY, uptimeS, ...(commands && { commands }) },
  };
}

/** Commands outlive a shared server, so that its age and its memory prove nothing. */
const sharedCases = [
  { name: "a command from before is waited for", expected: deferred("running", "events") },
  {
    name: "a command from before that has written is waited for",
    output: { exitCode: null, stdout: "step 1" },
    expected: deferred("running", "events"),
  },
  {
    name: "a command from before is presumed dead at the hard deadline",
    run: AT_HARD_DEADLINE,
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
    name: "a command that had ended before is completed",
    output: { exitCode: 0 },
    expected: completed("events"),
  },
];

verdictTable("a sweep over one shared agent server that restarted", sharedCases, sharedServer(60));

verdictTable(
  "a sweep over one shared agent server that forgot everything",
  sharedCases.filter(({ output }) => output === undefined),
  sharedServer(3600, []),
);

describe("a sweep that gives up a command", () => {
  it("keeps nothing of what the command was", async () => {
    await using world = await createWorld();
    const run = await world.seed({}, RESTARTED);
    const [command] = commandsOf(run);
    if (command === undefined || run.sandboxId === null) throw new Error("there is no command");
    world.host.update(run.sandboxId, { commands: [{ ...command, command: "echo s3cret-words" }] });
    const report = await world.sweep();
    const kept = await world.database.sql`
      SELECT row_to_json(r)::text AS run, row_to_json(v)::text AS verdict
      FROM automation_runs r JOIN watchdog.verdicts v ON v.run_id = r.id`;
    expect(kept).toHaveLength(1);
    expect(JSON.stringify({ kept, report })).not.toContain("s3cret-words");
  });
});

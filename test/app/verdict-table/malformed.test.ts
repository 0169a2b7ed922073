import { type HttpReply, html, JSON_TYPE, json } from "../../fake-host/model.ts";
import { type Answer, type VerdictCase, verdictTable } from "../../support/world/verdict-cases.ts";
import { undetermined } from "../../support/world/verdict-expected.ts";

const LOOKUP = { source: "sandbox_api", operation: "get_sandbox" } as const;
const SEARCH = { source: "agent_server", operation: "bash_events_search" } as const;
const LOOKED_UP = "mint lookup";
const SEARCHED = "mint lookup events";

const MIB = 1024 * 1024;
const GARBAGE = "answered with something that is not JSON";
const SHAPE = "answered with an unexpected shape";
const EVENT = "answered with an unexpected event";
const TOO_LARGE = "answered with more than 16777216 bytes";
const NO_SESSION_KEY = "was not sent: the sandbox has no usable session key";
const BAD_URL = "was not sent: the sandbox's agent server url is not allowed";

verdictTable("a sweep that cannot read the sandbox look-up", [
  ...[301, 302, 307, 400, 404, 405, 410, 422].map(
    (status): VerdictCase => ({
      name: `${status} at the look-up is no answer, and is not followed anywhere`,
      answers: { lookup: { ...html(status, "No"), headers: { location: "/elsewhere" } } },
      expected: undetermined({ ...LOOKUP, status }, LOOKED_UP),
    }),
  ),
  lookupCase("a page with status 200", html(200, "Sign in"), GARBAGE),
  lookupCase("an empty body", { status: 200 }, GARBAGE),
  lookupCase("half a document", { status: 200, body: '[{"id":' }, GARBAGE),
  lookupCase("an object", json(200, { items: [] }), SHAPE),
  lookupCase("more records than asked for", json(200, [null, null]), SHAPE),
  lookupCase("a record without a status", json(200, [{ session_api_key: "k" }]), SHAPE),
  lookupCase(
    "an unknown status",
    json(200, [{ status: "HIBERNATED" }]),
    "answered with an unknown sandbox status",
  ),
  lookupCase(
    "a record of another sandbox",
    json(200, [{ id: "another", status: "MISSING" }]),
    "answered about another sandbox",
  ),
  lookupCase("20 MiB that are announced", json(200, ["x".repeat(20 * MIB)]), TOO_LARGE),
  {
    name: "a session key of null leaves the run running, and nobody is asked without one",
    sandbox: { sessionKey: null },
    expected: undetermined({ ...SEARCH, what: NO_SESSION_KEY }, LOOKED_UP),
  },
  {
    name: "a session key no header can carry leaves the run running",
    sandbox: { sessionKey: "key\r\nx-admin: 1" },
    expected: undetermined({ ...SEARCH, what: NO_SESSION_KEY }, LOOKED_UP),
  },
  {
    name: "an agent server url that is none leaves the run running",
    sandbox: { agentUrl: "file:///etc/passwd" },
    expected: undetermined({ ...SEARCH, what: BAD_URL }, LOOKED_UP),
  },
]);

verdictTable("a sweep that cannot read the agent server's answer", [
  ...[302, 400, 404, 422].map(
    (status): VerdictCase => ({
      name: `${status} at the agent server is no answer, and is not followed anywhere`,
      answers: { events: { ...html(status, "No"), headers: { location: "/elsewhere" } } },
      expected: undetermined({ ...SEARCH, status }, SEARCHED),
    }),
  ),
  {
    name: "404 of an ingress far past the hard deadline still leaves the run running",
    run: { startedAgoMs: 20 * 3_600_000 },
    answers: { events: html(404, "Not Found") },
    expected: undetermined({ ...SEARCH, status: 404 }, SEARCHED),
  },
  searchCase("a page with status 200", html(200, "It works!"), GARBAGE),
  searchCase("an empty body", { status: 200 }, GARBAGE),
  searchCase("bytes that are not text", { status: 200, body: Buffer.from([0xff, 0xfe]) }, GARBAGE),
  searchCase("no items", json(200, {}), SHAPE),
  searchCase("items of null", json(200, { items: null }), SHAPE),
  searchCase("more events than asked for", json(200, { items: [{}, {}] }), SHAPE),
  searchCase("null in the place of an event", json(200, { items: [null] }), EVENT),
  searchCase("an event without an exit code", output({ exit_code: undefined }), EVENT),
  searchCase("an exit code that is text", output({ exit_code: "0" }), EVENT),
  searchCase("an exit code that is not whole", output({ exit_code: 0.5 }), EVENT),
  searchCase("an exit code beyond 32 bits", output({ exit_code: 2 ** 31 }), EVENT),
  searchCase("an output that is no text", output({ stdout: ["done"] }), EVENT),
  searchCase("the command itself", output({ kind: "BashCommand" }), EVENT),
  searchCase(
    "the success of another command",
    output({ command_id: "f".repeat(32) }),
    "answered about another command",
  ),
  {
    name: "tens of megabytes of output leave the run running",
    output: { exitCode: 0, stdout: "x".repeat(30 * MIB) },
    expected: undetermined({ ...SEARCH, what: TOO_LARGE }, SEARCHED),
  },
  searchCase(
    "a body without an end",
    () => ({ status: 200, headers: JSON_TYPE, body: endless() }),
    TOO_LARGE,
  ),
  searchCase(
    "a million empty events",
    { status: 200, body: `{"items": [${"[],".repeat(1_000_000)}[]]}` },
    "answered with more than 524288 bytes besides long texts",
  ),
  searchCase(
    "a body that is packed",
    { status: 200, headers: { "content-encoding": "gzip" }, body: '{"items": []}' },
    "answered with a content-encoding that was not asked for",
  ),
]);

function lookupCase(name: string, lookup: HttpReply, what: string): VerdictCase {
  return {
    name: `${name} in the place of a record leaves the run running`,
    answers: { lookup },
    expected: undetermined({ ...LOOKUP, what }, LOOKED_UP),
  };
}

function searchCase(name: string, events: Answer, what: string): VerdictCase {
  return {
    name: `${name} in the place of an output leaves the run running`,
    answers: { events },
    expected: undetermined({ ...SEARCH, what }, SEARCHED),
  };
}

/** Exit code 0 of the run's own command, but for the patch. */
function output(patch: object): Answer {
  return ({ query }) => {
    const own = { kind: "BashOutput", command_id: query.get("command_id__eq"), exit_code: 0 };
    return json(200, { items: [{ ...own, ...patch }], next_page_id: null });
  };
}

async function* endless() {
  yield '"';
  while (true) yield " ".repeat(MIB);
}

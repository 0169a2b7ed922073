import { type HttpReply, html, json } from "../../fake-host/model.ts";
import { type VerdictCase, verdictTable } from "../../support/world/verdict-cases.ts";
import { completed, undetermined } from "../../support/world/verdict-expected.ts";

const LOOKUP = { source: "sandbox_api", operation: "get_sandbox" } as const;
const SEARCH = { source: "agent_server", operation: "bash_events_search" } as const;
const MINT = { source: "service_api", operation: "mint_api_key" } as const;

const KINDS = [
  [408, "timeout"],
  [429, "rate_limited"],
  [500, "server_error"],
  [501, "server_error"],
  [502, "server_error"],
  [503, "server_error"],
  [504, "server_error"],
] as const;

/** In tables of their own: a fifth failure of the same question would end the asking. */
const [FIRST_KINDS, OTHER_KINDS] = [KINDS.slice(0, 4), KINDS.slice(4)];

function lookupCase([status, kind]: (typeof KINDS)[number]): VerdictCase {
  return {
    name: `${status} at the sandbox look-up leaves the run running`,
    answers: { lookup: html(status, "Trouble") },
    expected: undetermined({ ...LOOKUP, kind, status }, "mint lookup"),
  };
}

verdictTable("a sweep whose look-ups meet a transient status", [
  ...FIRST_KINDS.map(lookupCase),
  {
    name: "a neighbour of failed look-ups is completed all the same",
    output: { exitCode: 0 },
    expected: completed(),
  },
]);

verdictTable("a sweep that is told to wait", [
  {
    name: "a rate limit with Retry-After is told like any other",
    sandbox: { rateLimit: { first: 1, retryAfterS: 90 } },
    expected: undetermined({ ...LOOKUP, kind: "rate_limited", status: 429 }, "mint lookup"),
  },
]);

verdictTable("a sweep whose questions meet a transient status", [
  ...OTHER_KINDS.map(lookupCase),
  ...KINDS.map(
    ([status, kind]): VerdictCase => ({
      name: `${status} at the agent server leaves the run running`,
      answers: { events: html(status, "Trouble") },
      expected: undetermined({ ...SEARCH, kind, status }, "mint lookup events"),
    }),
  ),
  {
    name: "an agent server that waits to be initialised leaves the run running",
    sandbox: { initializing: true },
    expected: undetermined({ ...SEARCH, kind: "server_error", status: 503 }, "mint lookup events"),
  },
  {
    name: "503 far past the hard deadline still leaves the run running, deferred by as much",
    run: { startedAgoMs: 20 * 3_600_000 },
    answers: { lookup: html(503, "Trouble") },
    expected: undetermined({ ...LOOKUP, kind: "server_error", status: 503 }, "mint lookup"),
  },
  {
    name: "a healthy neighbour is completed all the same",
    output: { exitCode: 0 },
    expected: completed(),
  },
]);

const GARBAGE = "answered with something that is not JSON";
const NO_KEY = "answered without a usable key";
const STATUSES = [
  [401, "unknown"],
  [403, "unknown"],
  [404, "unknown"],
  [429, "rate_limited"],
  [500, "server_error"],
  [503, "server_error"],
] as const;

function mintStatusCase([status, kind]: (typeof STATUSES)[number]): VerdictCase {
  return {
    name: `${status} at the minting leaves the run running`,
    answers: { mint: json(status, { detail: "refused for user 4711" }) },
    expected: undetermined({ ...MINT, kind, status }, "mint"),
  };
}

verdictTable("a sweep that may not mint keys", STATUSES.slice(0, 3).map(mintStatusCase));

verdictTable("a sweep without a key for the user", [
  ...STATUSES.slice(3).map(mintStatusCase),
  mintCase("a page", html(200, "Sign in"), GARBAGE),
  mintCase("half a document", { status: 200, body: '{"key": "sk-' }, GARBAGE),
  mintCase("nothing", { status: 200 }, GARBAGE),
  mintCase("no key", json(200, { name: "automation" }), NO_KEY),
  mintCase("a key of null", json(200, { key: null }), NO_KEY),
  mintCase("a key no header can carry", json(200, { key: "sk\r\nx-admin: 1" }), NO_KEY),
  {
    name: "a redirect of the minting is not followed",
    answers: { mint: { status: 307, headers: { location: "/elsewhere" } } },
    expected: undetermined({ ...MINT, status: 307 }, "mint"),
  },
]);

function mintCase(name: string, mint: HttpReply, what: string): VerdictCase {
  return {
    name: `${name} in the place of a key leaves the run running`,
    answers: { mint },
    expected: undetermined({ ...MINT, what }, "mint"),
  };
}

verdictTable("a sweep whose connections break", [
  {
    name: "a reset at the minting leaves the run running",
    answers: { mint: "reset" },
    expected: undetermined(broken(MINT, "ECONNRESET"), "mint"),
  },
  {
    name: "a reset at the sandbox look-up leaves the run running",
    answers: { lookup: "reset" },
    expected: undetermined(broken(LOOKUP, "ECONNRESET"), "mint lookup"),
  },
  {
    name: "a reset at the agent server leaves the run running",
    answers: { events: "reset" },
    expected: undetermined(broken(SEARCH, "ECONNRESET"), "mint lookup events"),
  },
  {
    name: "an answer that breaks off leaves the run running",
    answers: { events: { status: 200, body: breaking() } },
    expected: undetermined(broken(SEARCH, "UND_ERR_SOCKET"), "mint lookup events"),
  },
  {
    name: "an agent server that nobody listens for leaves the run running",
    sandbox: { agentUrl: "http://127.0.0.1:1/" },
    expected: undetermined(broken(SEARCH, "ECONNREFUSED"), "mint lookup"),
  },
]);

function broken(call: typeof LOOKUP | typeof SEARCH | typeof MINT, code: string) {
  return { ...call, kind: "transport", what: `transport error: ${code}` };
}

async function* breaking() {
  yield '{"items": [';
  throw new Error("the pod is gone");
}

const LATE = { kind: "timeout", what: "timed out: no complete answer within 5000 ms" };

verdictTable(
  "a sweep whose questions get no answer in time",
  [
    {
      name: "silence at the minting leaves the run running",
      answers: { mint: "silence" },
      expected: undetermined({ ...MINT, ...LATE }, "mint"),
    },
    {
      name: "silence at the sandbox look-up leaves the run running",
      answers: { lookup: "silence" },
      expected: undetermined({ ...LOOKUP, ...LATE }, "mint lookup"),
    },
    {
      name: "silence at the agent server leaves the run running",
      answers: { events: "silence" },
      expected: undetermined({ ...SEARCH, ...LATE }, "mint lookup events"),
    },
    {
      name: "an answer that drips for ever leaves the run running",
      answers: { events: () => ({ status: 200, body: dripping() }) },
      expected: undetermined({ ...SEARCH, ...LATE }, "mint lookup events"),
    },
  ],
  { env: () => ({ WATCHDOG_VERIFY_TIMEOUT: "5s" }) },
);

async function* dripping() {
  while (true) {
    yield " ";
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

import { describe, expect, it } from "vitest";
import { sendJson } from "../../services/http-server.ts";
import { calm, cloudWorld, replying, runOf, verifyOnce } from "../http/world.ts";

const gone = (reason: string) => ({ kind: "gone", reason });
const unreadable = (message: string) => ({
  kind: "malformed",
  failure: { kind: "unknown", message },
});
const OF_LOOKUP = "sandbox_api get_sandbox answered";
const SHAPE = `${OF_LOOKUP} with an unexpected shape`;
const OF_SEARCH = "agent_server bash_events_search was not sent:";
const NO_SESSION_KEY = `${OF_SEARCH} the sandbox has no usable session key`;

interface LookupCase {
  readonly name: string;
  /** Laid over a healthy record; `null` together with `body`. */
  readonly sandbox?: object;
  readonly body?: unknown;
  readonly expected: object;
}

const lookupCases: readonly LookupCase[] = [
  { name: "null", body: null, expected: gone("no-record") },
  { name: "an empty list", body: [], expected: gone("no-record") },
  { name: "a list of null", body: [null], expected: gone("no-record") },
  { name: "status MISSING", sandbox: { status: "MISSING" }, expected: gone("missing") },
  { name: "status PAUSED", sandbox: { status: "PAUSED" }, expected: gone("paused") },
  { name: "status ERROR", sandbox: { status: "ERROR" }, expected: gone("error") },
  {
    name: "status STARTING without urls and key",
    sandbox: { status: "STARTING", exposed_urls: null, session_api_key: null },
    expected: { kind: "starting" },
  },
  {
    name: "urls that are null",
    sandbox: { exposed_urls: null },
    expected: gone("no-agent-server"),
  },
  { name: "no urls", sandbox: { exposed_urls: undefined }, expected: gone("no-agent-server") },
  {
    name: "urls without an agent server",
    sandbox: { exposed_urls: [null, { name: "VSCODE", url: "https://x.example" }] },
    expected: gone("no-agent-server"),
  },
  {
    name: "an agent server without a url",
    sandbox: { exposed_urls: [{ name: "AGENT_SERVER", url: null }] },
    expected: gone("no-agent-server"),
  },
  {
    name: "a record without an id",
    sandbox: { id: undefined },
    expected: { kind: "exited", exitCode: 0 },
  },
  {
    name: "a record with an id of null",
    sandbox: { id: null },
    expected: { kind: "exited", exitCode: 0 },
  },
  {
    name: "a record of another sandbox",
    sandbox: { id: "other", status: "MISSING" },
    expected: unreadable(`${OF_LOOKUP} about another sandbox`),
  },
  {
    name: "an unknown status",
    sandbox: { status: "HIBERNATED" },
    expected: unreadable(`${OF_LOOKUP} with an unknown sandbox status`),
  },
  {
    name: "a status in small letters",
    sandbox: { status: "missing" },
    expected: unreadable(`${OF_LOOKUP} with an unknown sandbox status`),
  },
  { name: "no status", sandbox: { status: undefined }, expected: unreadable(SHAPE) },
  { name: "more records than asked for", body: [null, null], expected: unreadable(SHAPE) },
  { name: "an object", body: { items: [] }, expected: unreadable(SHAPE) },
  { name: "a text", body: "MISSING", expected: unreadable(SHAPE) },
  { name: "false", body: false, expected: unreadable(SHAPE) },
  { name: "a list of texts", body: ["MISSING"], expected: unreadable(SHAPE) },
  { name: "an empty record", body: [{}], expected: unreadable(SHAPE) },
  {
    name: "urls that are no list",
    sandbox: { exposed_urls: {} },
    expected: unreadable(SHAPE),
  },
  {
    name: "an agent url that is no text",
    sandbox: { exposed_urls: [{ name: "AGENT_SERVER", url: 60000 }] },
    expected: unreadable(SHAPE),
  },
  {
    name: "a session key of null",
    sandbox: { session_api_key: null },
    expected: unreadable(NO_SESSION_KEY),
  },
  {
    name: "an empty session key",
    sandbox: { session_api_key: "" },
    expected: unreadable(NO_SESSION_KEY),
  },
  {
    name: "a session key that would end its header",
    sandbox: { session_api_key: "a\r\nhost: evil" },
    expected: unreadable(NO_SESSION_KEY),
  },
  {
    name: "an agent url with credentials",
    sandbox: { exposed_urls: [{ name: "AGENT_SERVER", url: "http://u:p@agent.example" }] },
    expected: unreadable(`${OF_SEARCH} the sandbox's agent server url is not allowed`),
  },
  {
    name: "an agent url with another scheme",
    sandbox: { exposed_urls: [{ name: "AGENT_SERVER", url: "file:///etc/passwd" }] },
    expected: unreadable(`${OF_SEARCH} the sandbox's agent server url is not allowed`),
  },
];

describe("openHandsCloudBackend.verify after a look-up", () => {
  for (const { name, sandbox = {}, body, expected } of lookupCases) {
    it(`understands ${name}`, async () => {
      await using world = await cloudWorld({
        routes: {
          lookup: (_, response) =>
            sendJson(response, 200, body === undefined ? [world.sandbox(sandbox)] : body),
        },
      });
      const evidence = await world.backend.verify(runOf(), calm());
      expect(evidence).toMatchObject(expected);
    });
  }

  const statuses = [
    { status: 408, kind: "unreachable" },
    { status: 429, kind: "unreachable" },
    { status: 500, kind: "unreachable" },
    { status: 503, kind: "unreachable" },
    { status: 307, kind: "malformed" },
    { status: 400, kind: "malformed" },
    { status: 404, kind: "malformed" },
  ];
  for (const { status, kind } of statuses) {
    it(`finds HTTP ${status} ${kind}`, async () => {
      const { evidence } = await verifyOnce({ routes: { lookup: replying(status) } });
      expect(evidence).toMatchObject({
        kind,
        failure: { message: `sandbox_api get_sandbox returned HTTP ${status}` },
      });
    });
  }
});

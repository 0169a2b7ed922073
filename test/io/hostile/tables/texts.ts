/** Answers whose texts hold what a text in a database, a header or a URL must not hold. */
import { bashOutput, COMMAND_ID, SANDBOX_ID } from "../../http/world.ts";
import { body } from "./answers.ts";
import { type Expected, type HostileCase, TENANT_TEXT } from "./places.ts";

const malformed = (what: string): Expected => ({ kind: "malformed", what });
const NOT_JSON = malformed("answered with something that is not JSON");

/** As JSON writes them, and as a program sees them. */
const ODD = [
  { name: "a zero byte", json: "\\u0000", text: "\0" },
  { name: "half a pair of surrogates", json: "\\ud83d", text: "\ud83d" },
  { name: "the other half", json: "\\ude00", text: "\ude00" },
  { name: "the halves the wrong way round", json: "\\ude00\\ud83d", text: "\ude00\ud83d" },
  { name: "a line break and a colour", json: "\\r\\n\\u001b[31m", text: "\r\n\u001b[31m" },
  { name: "a mark that turns the line round", json: "\\u202e", text: "\u202e" },
] as const;

type Odd = (typeof ODD)[number];

/** One case for each odd text. */
function each(
  field: string,
  json: (odd: string) => string,
  expected: (odd: Odd) => Expected,
): readonly HostileCase[] {
  return ODD.map((odd) => ({
    name: `${odd.name} in the ${field}`,
    answer: () => body(json(odd.json)),
    expected: expected(odd),
  }));
}

function jsonOf(value: object, field: string, text: string): string {
  return JSON.stringify({ ...value, [field]: "@" }).replace('"@"', `"${text}"`);
}

const event = (field: string, text: string) => `{"items":[${jsonOf(bashOutput(), field, text)}]}`;
const SANDBOX = { id: SANDBOX_ID, status: "RUNNING", session_api_key: "session-1" };
const sandbox = (field: string, text: string) => `[${jsonOf(SANDBOX, field, text)}]`;
const withUrl = (name: string, url: string) =>
  `[{"status":"RUNNING","session_api_key":"session-1","exposed_urls":[{"name":"${name}","url":"${url}"}]}]`;
const GONE: Expected = {
  kind: "learned",
  evidence: { kind: "gone", reason: "no-agent-server" },
};

export const MINT_TEXTS = each(
  "key",
  (odd) => `{"key":"sk-${odd}"}`,
  () => malformed("answered without a usable key"),
);

export const LOOKUP_TEXTS: readonly HostileCase[] = [
  ...each(
    "id",
    (odd) => sandbox("id", `${SANDBOX_ID}${odd}`),
    () => malformed("answered about another sandbox"),
  ),
  ...each(
    "status",
    (odd) => sandbox("status", `RUNNING${odd}`),
    () => malformed("answered with an unknown sandbox status"),
  ),
  ...each(
    "url's name",
    (odd) => withUrl(`AGENT_SERVER${odd}`, "http://127.0.0.1:1/"),
    () => GONE,
  ),
];

const exited = (output: { readonly stdout?: string; readonly stderr?: string }): Expected => ({
  kind: "learned",
  evidence: { kind: "exited", exitCode: 0, stdout: "", stderr: "", ...output },
});

export const SEARCH_TEXTS: readonly HostileCase[] = [
  ...each(
    "kind",
    (odd) => event("kind", `BashOutput${odd}`),
    () => malformed("answered with an unexpected event"),
  ),
  ...each(
    "command id",
    (odd) => event("command_id", `${COMMAND_ID}${odd}`),
    () => malformed("answered about another command"),
  ),
  ...each(
    "stdout",
    (odd) => event("stdout", `a${odd}b`),
    ({ text }) => exited({ stdout: `a${text}b` }),
  ),
  ...each(
    "stderr",
    (odd) => event("stderr", `a${odd}b`),
    ({ text }) => exited({ stderr: `a${text}b` }),
  ),
];

const FAILED = { state: "failed" };
const failed = (texts: object): Expected => ({
  kind: "learned",
  evidence: { kind: "failed", detail: "", stdout: "", stderr: "", ...texts },
});

export const VERIFY_TEXTS: readonly HostileCase[] = [
  ...each(
    "state",
    (odd) => `{"state":"succeeded${odd}"}`,
    () => malformed("answered with an unexpected shape"),
  ),
  ...["detail", "stdout", "stderr"].flatMap((field) =>
    each(
      field,
      (odd) => jsonOf(FAILED, field, `a${odd}b`),
      ({ text }) => failed({ [field]: `a${text}b` }),
    ),
  ),
];

/** Bytes that are no text; JSON itself allows none of the first kind. */
const bytes = (name: string, middle: readonly number[], expected: Expected): HostileCase => ({
  name,
  answer: () =>
    body(Buffer.concat([at('{"state":"failed","detail":"a'), Buffer.from(middle), at('b"}')])),
  expected,
});
const at = (text: string) => Buffer.from(text);

export const VERIFY_BYTES: readonly HostileCase[] = [
  bytes("a naked zero byte", [0x00], NOT_JSON),
  bytes("a naked line break", [0x0a], NOT_JSON),
  bytes("a byte of no letter", [0xff], failed({ detail: "a\ufffdb" })),
  bytes("a letter in Latin-1", [0xe9], failed({ detail: "a\ufffdb" })),
  bytes("a letter that lacks its last byte", [0xe2, 0x82], failed({ detail: "a\ufffdb" })),
  bytes("a quotation mark in two bytes", [0xc0, 0xa2], failed({ detail: "a\ufffd\ufffdb" })),
  bytes(
    "half a pair in three bytes",
    [0xed, 0xa0, 0xbd],
    failed({ detail: "a\ufffd\ufffd\ufffdb" }),
  ),
  {
    name: "a body that ends within a letter",
    answer: () =>
      body(Buffer.concat([at(`{"state":"failed","detail":"${TENANT_TEXT}`), Buffer.from([0xe2])])),
    expected: NOT_JSON,
  },
];

/** Answers of the right form whose fields are missing, empty or of another kind, one field at a time. */
import { bashOutput, COMMAND_ID, SANDBOX_ID } from "../../http/world.ts";
import { body } from "./answers.ts";
import { type Expected, type HostileCase, TENANT_TEXT } from "./places.ts";

const malformed = (what: string): Expected => ({ kind: "malformed", what });
const SHAPE = malformed("answered with an unexpected shape");
const EVENT = malformed("answered with an unexpected event");
const NO_KEY = malformed("answered without a usable key");
const OTHER_SANDBOX = malformed("answered about another sandbox");
const OTHER_COMMAND = malformed("answered about another command");
const UNKNOWN_STATUS = malformed("answered with an unknown sandbox status");
const CONTRADICTION = malformed(
  "answered with a state and an exit code that contradict each other",
);

/** JSON texts of what is neither text nor null. */
const WRONG_KINDS = ["7", "true", "[]", "{}"];

const DEEP = 100_000;
const NESTED = `${"[".repeat(DEEP)}${"]".repeat(DEEP)}`;

/** A JSON text, which can say what a value cannot: numbers of any size, names twice. */
function text(name: string, json: string, expected: Expected): HostileCase {
  return { name, answer: () => body(json), expected };
}

function record(field: string, json: string, expected: Expected): HostileCase {
  const honest = { id: SANDBOX_ID, status: "STARTING", session_api_key: null, exposed_urls: null };
  return text(`${field} ${json}`, `[${laidOver(honest, field, json)}]`, expected);
}

function event(field: string, json: string, expected: Expected): HostileCase {
  return text(
    `${field} ${json}`,
    `{"items":[${laidOver(bashOutput(), field, json)}],"next_page_id":null}`,
    expected,
  );
}

function state(field: string, json: string, expected: Expected): HostileCase {
  const honest = { state: "succeeded", exit_code: 0, stdout: "", stderr: "" };
  return text(`${field} ${json}`, laidOver(honest, field, json), expected);
}

/** `missing` leaves the field out. */
function laidOver(honest: object, field: string, json: string): string {
  const fields = Object.entries(honest)
    .filter(([name]) => name !== field)
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  if (json !== "missing") fields.push(`${JSON.stringify(field)}:${json}`);
  return `{${fields.join()}}`;
}

export const MINT_FIELDS: readonly HostileCase[] = [
  ...["missing", "null", '""', ...WRONG_KINDS].map((json) =>
    text(`key ${json}`, json === "missing" ? "{}" : `{"key":${json}}`, NO_KEY),
  ),
  text("brackets a hundred thousand deep", NESTED, NO_KEY),
  text("a list of keys", '[{"key":"sk-oh-1"}]', NO_KEY),
  text("a key inside", '{"key":{"key":"sk-oh-1"}}', NO_KEY),
  text("a key in capitals", '{"KEY":"sk-oh-1"}', NO_KEY),
  text("a key with a space", '{"key":"sk oh"}', NO_KEY),
  text("a key with a letter that no header can carry", '{"key":"sk-ö"}', NO_KEY),
  text("two keys, the last of them null", '{"key":"sk-oh-1","key":null}', NO_KEY),
  text("two keys, the last of them a key", '{"key":null,"key":"sk-oh-1"}', "honest"),
];

export const LOOKUP_FIELDS: readonly HostileCase[] = [
  ...["missing", "null"].map((json) => record("id", json, "honest")),
  ...WRONG_KINDS.map((json) => record("id", json, SHAPE)),
  ...['""', `"${SANDBOX_ID.toLowerCase()}"`, `"${SANDBOX_ID} "`].map((json) =>
    record("id", json, OTHER_SANDBOX),
  ),
  ...["missing", "null", ...WRONG_KINDS].map((json) => record("status", json, SHAPE)),
  ...['""', '"running"', '"RUNNING "', `"${TENANT_TEXT}"`, '"__proto__"'].map((json) =>
    record("status", json, UNKNOWN_STATUS),
  ),
  record("session_api_key", "missing", "honest"),
  ...WRONG_KINDS.map((json) => record("session_api_key", json, SHAPE)),
  record("exposed_urls", "missing", "honest"),
  ...["7", "true", "{}", '"http://a.example"', '["http://a.example"]', "[[]]", "[7]"].map((json) =>
    record("exposed_urls", json, SHAPE),
  ),
  ...['{"name":7,"url":null}', '{"name":"AGENT_SERVER","url":[]}'].map((json) =>
    record("exposed_urls", `[${json}]`, SHAPE),
  ),
  text("brackets a hundred thousand deep", NESTED, SHAPE),
  text("a record in a list in a list", `[[{"id":"${SANDBOX_ID}","status":"STARTING"}]]`, SHAPE),
  text("a record without its list", `{"id":"${SANDBOX_ID}","status":"STARTING"}`, SHAPE),
  text("the record and another one", `[{"status":"STARTING"},{"status":"MISSING"}]`, SHAPE),
  text("two statuses", `[{"status":"MISSING","status":"STARTING"}]`, "honest"),
  text("a status that is only inherited", `[{"__proto__":{"status":"MISSING"}}]`, SHAPE),
];

export const SEARCH_FIELDS: readonly HostileCase[] = [
  ...["7", "true", '"items"', "{}", '{"0":{},"length":1}'].map((json) =>
    text(`items ${json}`, `{"items":${json}}`, SHAPE),
  ),
  text("brackets a hundred thousand deep", NESTED, SHAPE),
  text("a list of items without its object", `[${JSON.stringify(bashOutput())}]`, SHAPE),
  ...["7", "true", '"event"', "[]", "{}"].map((json) =>
    text(`an event ${json}`, `{"items":[${json}]}`, EVENT),
  ),
  ...["missing", "null", '""', '"bashoutput"', '"BashOutput "', ...WRONG_KINDS].map((json) =>
    event("kind", json, EVENT),
  ),
  ...["null", ...WRONG_KINDS].map((json) => event("command_id", json, EVENT)),
  ...['""', `"${COMMAND_ID.slice(1)}"`, `" ${COMMAND_ID}"`, `"{${COMMAND_ID}}"`].map((json) =>
    event("command_id", json, OTHER_COMMAND),
  ),
  ...["stdout", "stderr"].flatMap((field) => [
    event(field, "missing", "honest"),
    ...WRONG_KINDS.map((json) => event(field, json, EVENT)),
  ]),
  text(
    "another command's id before its own",
    `{"items":[${laidOver(bashOutput(), "command_id", `"${"f".repeat(32)}","command_id":"${COMMAND_ID}"`)}]}`,
    "honest",
  ),
];

/** What is no exit code, however close it comes to one. */
export const EXIT_CODES: readonly string[] = [
  "1e400",
  "-1e400",
  "2147483648",
  "-2147483649",
  "9007199254740993",
  "1.5",
  "1e-7",
  '"0"',
  '""',
  "true",
  "false",
  "[0]",
  "[]",
  "{}",
];

export const EXIT_CODE_FIELDS: readonly HostileCase[] = [
  ...EXIT_CODES.map((json) => event("exit_code", json, EVENT)),
  ...["0.0", "0e5", "0E-400", "1e-400"].map((json) => event("exit_code", json, "honest")),
];

export const VERIFY_FIELDS: readonly HostileCase[] = [
  ...["null", '""', '"SUCCEEDED"', '"succeeded "', '"__proto__"', ...WRONG_KINDS].map((json) =>
    state("state", json, SHAPE),
  ),
  ...["missing", "null", "0.0"].map((json) => state("exit_code", json, "honest")),
  ...EXIT_CODES.map((json) => state("exit_code", json, SHAPE)),
  ...["1", "-1", "2147483647", "-2147483648"].map((json) =>
    state("exit_code", json, CONTRADICTION),
  ),
  ...["stdout", "stderr", "detail"].flatMap((field) => [
    ...["missing", "null"].map((json) => state(field, json, "honest")),
    ...WRONG_KINDS.map((json) => state(field, json, SHAPE)),
  ]),
  text("brackets a hundred thousand deep", NESTED, SHAPE),
  text("two states", '{"state":"failed","state":"succeeded"}', "honest"),
  text("a state in a list", '[{"state":"succeeded"}]', SHAPE),
  text("a state that is only inherited", '{"__proto__":{"state":"succeeded"}}', SHAPE),
];

import type { Failure } from "./model.ts";
import { remedyFor } from "./remedy.ts";
import type { Waiting, WaitingCause } from "./report.ts";

/**
 * Why an answer was inconclusive, as it is noted, grouped and shown: who was asked for what, and what came, such as
 * `service_api mint_api_key: HTTP 401`. At most about 200 characters of a bounded vocabulary: no durations, sizes or
 * other numbers but statuses, so that the same trouble always has the same words.
 */
export function causeOf(failure: Failure): string {
  const { source, operation } = failure;
  return `${wordOr(source, "backend")} ${wordOr(operation, "verify")}: ${whatOf(failure)}`;
}

/** Why a run was not asked about. @param reason of a gate; of somebody else's backend it may say anything. */
export function notAskedCause(reason: string): string {
  if (reason === "no such run") return reason;
  return NOT_ASKED.test(reason) ? `not asked: ${reason}` : "not asked";
}

const NOT_ASKED =
  /^[a-z_]{1,40} (asked for a pause( for one owner)?|keeps failing, its circuit breaker is open|keeps refusing one owner)$/;

function whatOf({ source, operation, kind, statusCode, message }: Failure): string {
  if (statusCode !== null) {
    return statusCode >= 100 && statusCode <= 599 ? `HTTP ${statusCode}` : "an unknown HTTP status";
  }
  const prefix = `${source} ${operation} `;
  const what = message.startsWith(prefix) ? message.slice(prefix.length) : message;
  const plain = what.replace(/ within \d+ ms$/, "").replace(/ more than \d+ /, " too many ");
  return VOCABULARY.test(plain) ? plain : UNKNOWN[kind];
}

/** A backend of somebody else's may say anything: what is no word is not repeated. */
function wordOr(text: string, otherwise: string): string {
  return /^[a-z][a-z_-]{0,39}$/.test(text) ? text : otherwise;
}

/** What calls say, in words, and the codes of Node, OpenSSL and undici. */
const VOCABULARY =
  /^(timed out: no [a-z ]{1,40}|transport error: \w{1,60}|(answered|was not sent)[A-Za-z',: -]{1,90})$/;

const UNKNOWN: Readonly<Record<Failure["kind"], string>> = {
  rate_limited: "asked to be called less often",
  timeout: "timed out",
  transport: "transport error",
  server_error: "failed",
  unknown: "gave no usable answer",
};

/** `20 x service_api mint_api_key: HTTP 401, check AUTOMATION_SERVICE_KEY` */
export function groupText({ cause, count }: WaitingCause): string {
  const remedy = remedyFor(cause);
  return `${count} x ${cause}${remedy === null ? "" : `, ${remedy}`}`;
}

/** What keeps runs from being judged: one text for each group of them; the same for the same runs. */
export function whatIsWrong({ held, unanswered, failing, ...groups }: Waiting): readonly string[] {
  const { causes, failures } = groups;
  return [
    ...(held > 0 ? [heldText(held)] : []),
    ...failures.map(groupText),
    ...rest(failing, failures, "that could not be handled"),
    ...causes.map(groupText),
    ...rest(unanswered, causes, "without an answer"),
  ];
}

export function heldText(held: number): string {
  return `${held} held back by the guard, if they are dead: run-watchdog once --override-guard`;
}

function rest(all: number, shown: readonly WaitingCause[], what: string): readonly string[] {
  const more = all - shown.reduce((sum, { count }) => sum + count, 0);
  return more > 0 ? [`${more} more ${what}`] : [];
}

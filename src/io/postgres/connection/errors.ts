import { StoreSchemaError, StoreUnavailableError } from "../../../watchdog/errors.ts";

/** Somebody else holds the row lock or won a conflict: 55P03, 40P01, 40001. */
export class RowBusyError extends Error {
  override readonly name = "RowBusyError";
}

/** Postgres rejected a statement for what it contains. The message never holds row data. */
export class StatementRefusedError extends Error {
  override readonly name = "StatementRefusedError";
  /** SQLSTATE. */
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Turns what drizzle and postgres.js throw into the errors the worker branches on. Recognised by SQLSTATE or Node error
 * code only; messages of drizzle contain parameters and are never passed on.
 *
 * @param remedies by SQLSTATE, where the general ones do not fit.
 */
export function translate(operation: string, error: unknown, remedies = REMEDIES): Error {
  const origin = rootOf(error);
  const code = codeOf(origin);
  if (code === null || MISTAKE.test(code)) {
    return origin instanceof Error ? origin : new Error(`${operation} failed`);
  }
  if (BUSY.has(code)) return new RowBusyError(`${operation}: SQLSTATE ${code}`);
  if (isOutage(code, origin)) {
    return new StoreUnavailableError(`${operation} failed: ${describeOutage(code, origin)}`, {
      late: code === STATEMENT_TIMEOUT,
    });
  }
  if (MISCONFIGURED.has(code) && !isInHostCode(origin)) {
    const remedy = remedies[code] ?? REMEDIES[code] ?? LOOK_AT_TABLES;
    return new StoreSchemaError(`${operation}: ${messageOf(origin)} (SQLSTATE ${code}): ${remedy}`);
  }
  return new StatementRefusedError(`${operation}: ${describeRefusal(code, origin)}`, code);
}

/**
 * Why a session could not be opened. Whatever the server or a pooler says about that, without a session nothing can be
 * done and nothing is known of any statement.
 *
 * @param hint what else may help.
 */
export function cannotOpen(
  step: string,
  error: unknown,
  hint: string | null = null,
): StoreUnavailableError {
  if (error instanceof StoreUnavailableError) {
    return new StoreUnavailableError(`${step}: ${error.message}`);
  }
  const origin = rootOf(error);
  const code = codeOf(origin);
  if (code === null) {
    return new StoreUnavailableError(`${step} failed: ${messageOf(origin)}`, { cause: origin });
  }
  const more = hint === null ? "" : `: ${hint}`;
  return new StoreUnavailableError(`${step} failed: ${describeOutage(code, origin)}${more}`);
}

/** SQLSTATE or Node error code at the bottom of the chain of causes; `null` for a programming error. */
export function sqlCode(error: unknown): string | null {
  return codeOf(rootOf(error));
}

/** Whether Postgres refused a statement and the connection is as good as before. */
export function keepsSession(error: unknown): boolean {
  const origin = rootOf(error);
  const code = codeOf(origin);
  return code !== null && isSqlState(code) && !SESSION_IS_OVER.test(code) && !isFatal(origin);
}

/** Whether no answer came, in time or at all: the server may still be at work on the statement. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof StoreUnavailableError) return true;
  const code = sqlCode(error);
  return code !== null && !isSqlState(code) && !MISTAKE.test(code);
}

/**
 * Whether a session may have been refused for the start-up parameters it asked for. Poolers say that with codes of
 * their own choice; what cannot mean it is who we are, which database it is, a lack of room, and the server's state.
 */
export function mayBeParameters(error: unknown): boolean {
  const code = sqlCode(error);
  return code !== null && isSqlState(code) && !/^(25|28|3D|42501|53|57|58)/.test(code);
}

/** Codes with which Node and postgres.js refuse what they are called with. */
const MISTAKE = /^(ERR_(?!SSL|TLS)|UNDEFINED_VALUE$|MAX_PARAMETERS_EXCEEDED$)/;

const BUSY = new Set(["55P03", "40P01", "40001"]);

const LOOK_AT_TABLES = "run `run-watchdog migrate`, and check the host's tables";
const CHECK_LOGIN = "check the user and password in DATABASE_URL";

/** By SQLSTATE. */
const REMEDIES: Readonly<Record<string, string>> = {
  "28000": CHECK_LOGIN,
  "28P01": CHECK_LOGIN,
  "3D000": "check the database name in DATABASE_URL",
  "42501": "grant it to the worker's database user",
};

/** Missing table, column, schema or privilege. */
const MISCONFIGURED = new Set(["3F000", "42501", "42703", "42P01"]);

/**
 * The connection broke, a pooler found no session behind itself, or the server is full, was told to stop (also a
 * statement that took too long: 57014), has trouble with its disks, or failed over to read-only. None of these says
 * anything about the statement's content.
 */
const OUTAGE = /^(08|28|3D|53|57|58|25006)/;

function isOutage(code: string, origin: unknown): boolean {
  return !isSqlState(code) || isFatal(origin) || (OUTAGE.test(code) && !isRaised(origin));
}

/** The server or a pooler ends the session with it, whatever the code. */
function isFatal(origin: unknown): boolean {
  const severity = fieldOf(origin, "severity") ?? fieldOf(origin, "severity_local");
  return severity === "FATAL" || severity === "PANIC";
}

/**
 * The server or a pooler hangs up after these. One that has become read-only does not, but was replaced by another:
 * a new session finds it, and the old one would stay where it is for as long as it is used.
 */
const SESSION_IS_OVER = /^(08|57P|25006)/;

const STATEMENT_TIMEOUT = "57014";

/**
 * In a trigger, function or policy of the host, which says nothing about our own access: only such errors have a
 * context. A policy that refuses a row is known by the function that asks it.
 */
function isInHostCode(origin: unknown): boolean {
  return fieldOf(origin, "where") !== null || fieldOf(origin, "routine") === "ExecWithCheckOptions";
}

/** By RAISE in the host's PL/pgSQL: code and message are the host's, whatever the code means elsewhere. */
function isRaised(origin: unknown): boolean {
  return fieldOf(origin, "routine") === "exec_stmt_raise";
}

function isSqlState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code) && !code.startsWith("E");
}

function describeOutage(code: string, origin: unknown): string {
  const remedy = REMEDIES[code] === undefined ? "" : `: ${REMEDIES[code]}`;
  return isSqlState(code) ? `${messageOf(origin)} (SQLSTATE ${code})${remedy}` : code;
}

/** Data exceptions quote the value that they are about, with few exceptions of their own. */
const QUOTES_VALUES = /^22(?!001|012|021|P05)/;

/** The server's own words name tables, columns and constraints. What the host's code says may repeat a row. */
function describeRefusal(code: string, origin: unknown): string {
  if (!isInHostCode(origin) && !isRaised(origin) && !QUOTES_VALUES.test(code)) {
    return `SQLSTATE ${code}, ${messageOf(origin)}`;
  }
  const constraint = fieldOf(origin, "constraint_name");
  const column = fieldOf(origin, "column_name");
  const parts = [`SQLSTATE ${code}`];
  if (constraint !== null) parts.push(`constraint "${constraint}"`);
  if (column !== null) parts.push(`column "${column}"`);
  if (code === "P0001") parts.push("raised by a trigger or function");
  if (MISCONFIGURED.has(code)) parts.push("in a trigger, function or policy");
  return parts.join(", ");
}

function rootOf(error: unknown): unknown {
  let current = error;
  for (let depth = 0; depth < 5 && codeOf(current) === null; depth += 1) {
    if (!(current instanceof Error) || current.cause === undefined) break;
    current = current.cause;
  }
  return current;
}

function codeOf(error: unknown): string | null {
  return fieldOf(error, "code");
}

/** On one line, and no longer than that. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown error";
  const line = error.message.replace(/[\s\p{Cc}]+/gu, " ").trim();
  return line.length > MESSAGE_CHARS ? `${line.slice(0, MESSAGE_CHARS)}...` : line;
}

const MESSAGE_CHARS = 300;

function fieldOf(error: unknown, field: string): string | null {
  if (typeof error !== "object" || error === null || !(field in error)) return null;
  const value: unknown = Reflect.get(error, field);
  return typeof value === "string" && value !== "" ? value : null;
}

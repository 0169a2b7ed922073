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
 * Turns what postgres.js throws into the errors the worker branches on. Recognised by SQLSTATE or Node error code only.
 *
 * @param remedies by SQLSTATE, where the general ones do not fit.
 */
export function translate(operation: string, error: unknown, remedies = REMEDIES): Error {
  const code = codeOf(error);
  if (code === null || MISTAKE.test(code)) {
    return error instanceof Error ? error : new Error(`${operation} failed`);
  }
  if (BUSY.has(code)) return new RowBusyError(`${operation}: SQLSTATE ${code}`);
  if (isOutage(code, error)) {
    return new StoreUnavailableError(`${operation} failed: ${describeOutage(code, error)}`, {
      late: code === STATEMENT_TIMEOUT,
    });
  }
  if (MISCONFIGURED.has(code) && !isInHostCode(error)) {
    const remedy = remedies[code] ?? REMEDIES[code] ?? LOOK_AT_TABLES;
    return new StoreSchemaError(`${operation}: ${messageOf(error)} (SQLSTATE ${code}): ${remedy}`);
  }
  return new StatementRefusedError(`${operation}: ${describeRefusal(code, error)}`, code);
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
    return new StoreUnavailableError(`${step}: ${error.message}: ${CHECK_LOAD}`);
  }
  const code = codeOf(error);
  if (code === null) {
    return new StoreUnavailableError(`${step} failed: ${messageOf(error)}`, { cause: error });
  }
  const more = hint === null ? "" : `: ${hint}`;
  return new StoreUnavailableError(`${step} failed: ${describeOutage(code, error)}${more}`);
}

/** Whether Postgres refused a statement and the connection is as good as before. */
export function keepsSession(error: unknown): boolean {
  const code = codeOf(error);
  return code !== null && isSqlState(code) && !SESSION_IS_OVER.test(code) && !isFatal(error);
}

/** Whether no answer came, in time or at all: the server may still be at work on the statement. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof StoreUnavailableError) return true;
  const code = codeOf(error);
  return code !== null && !isSqlState(code) && !MISTAKE.test(code);
}

/**
 * Whether a session may have been refused for the start-up parameters it asked for. Poolers say that with codes of
 * their own choice; what cannot mean it is who we are, which database it is, a lack of room, and the server's state.
 */
export function mayBeParameters(error: unknown): boolean {
  const code = codeOf(error);
  return code !== null && isSqlState(code) && !/^(25|28|3D|42501|53|57|58)/.test(code);
}

/** Codes with which Node and postgres.js refuse what they are called with. */
const MISTAKE = /^(ERR_(?!SSL|TLS)|UNDEFINED_VALUE$|MAX_PARAMETERS_EXCEEDED$)/;

const BUSY = new Set(["55P03", "40P01", "40001"]);

const LOOK_AT_TABLES = "run `run-watchdog migrate`, and check the host's tables";
const CHECK_LOGIN = "check the user and password in DATABASE_URL or AUTOMATION_DB_*";

const CHECK_ADDRESS = "check the network, and host and port in DATABASE_URL or AUTOMATION_DB_*";
const CHECK_LOAD =
  "check its load, the network, and host and port in DATABASE_URL or AUTOMATION_DB_*";
const CHECK_HOST = "check the host in DATABASE_URL or AUTOMATION_DB_*";
const CHECK_AUTHORITY =
  "let sslrootcert in DATABASE_URL, or NODE_EXTRA_CA_CERTS, name a file with the certificate of the authority that signed the server's";

/** By SQLSTATE, or by the code of Node or OpenSSL. What passes by itself has none. */
const REMEDIES: Readonly<Record<string, string>> = {
  "25006":
    "DATABASE_URL or AUTOMATION_DB_* has to lead to a server that takes writes, also after a failover",
  "28000": CHECK_LOGIN,
  "28P01": CHECK_LOGIN,
  "3D000": "check the database name in DATABASE_URL or AUTOMATION_DB_*",
  "42501": "grant it to the worker's database user, as `run-watchdog migrate --print-grants` does",
  "53100": "free space on the server's disk",
  "53200": "give the server more memory, or less to do",
  "53300": "let the server take more connections, or lower WATCHDOG_DB_POOL",
  ECONNREFUSED:
    "check that Postgres runs there, and host and port in DATABASE_URL or AUTOMATION_DB_*",
  ENOENT: "check that Postgres runs here, and the socket in DATABASE_URL or AUTOMATION_DB_*",
  EACCES: "let the worker's user use the socket in DATABASE_URL or AUTOMATION_DB_*",
  ENOTFOUND: CHECK_HOST,
  EAI_AGAIN: CHECK_HOST,
  EHOSTUNREACH: CHECK_ADDRESS,
  ENETUNREACH: CHECK_ADDRESS,
  ETIMEDOUT: CHECK_ADDRESS,
  SELF_SIGNED_CERT_IN_CHAIN: CHECK_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: CHECK_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CHECK_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: CHECK_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CHECK_AUTHORITY,
  ERR_TLS_CERT_ALTNAME_INVALID:
    "DATABASE_URL or AUTOMATION_DB_* has to use a name that the server's certificate is made out to, or sslmode=verify-ca",
  CERT_HAS_EXPIRED: "renew the server's certificate",
};

/** Missing table, column, schema or privilege. */
const MISCONFIGURED = new Set(["3F000", "42501", "42703", "42P01"]);

/**
 * The connection broke, a pooler found no session behind itself, or the server is full, was told to stop (also a
 * statement that took too long: 57014), has trouble with its disks, or failed over to read-only. None of these says
 * anything about the statement's content.
 */
const OUTAGE = /^(08|28|3D|53|57|58|25006)/;

function isOutage(code: string, error: unknown): boolean {
  return !isSqlState(code) || isFatal(error) || (OUTAGE.test(code) && !isRaised(error));
}

/** The server or a pooler ends the session with it, whatever the code. */
function isFatal(error: unknown): boolean {
  const severity = fieldOf(error, "severity") ?? fieldOf(error, "severity_local");
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
function isInHostCode(error: unknown): boolean {
  return fieldOf(error, "where") !== null || fieldOf(error, "routine") === "ExecWithCheckOptions";
}

/** By RAISE in the host's PL/pgSQL: code and message are the host's, whatever the code means elsewhere. */
function isRaised(error: unknown): boolean {
  return fieldOf(error, "routine") === "exec_stmt_raise";
}

function isSqlState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code) && !code.startsWith("E");
}

function describeOutage(code: string, error: unknown): string {
  const remedy = REMEDIES[code] === undefined ? "" : `: ${REMEDIES[code]}`;
  const what = isSqlState(code) ? `${messageOf(error)} (SQLSTATE ${code})` : code;
  return `${what}${remedy}`;
}

/** Data exceptions quote the value that they are about, with few exceptions of their own. */
const QUOTES_VALUES = /^22(?!001|012|021|P05)/;

/** The server's own words name tables, columns and constraints. What the host's code says may repeat a row. */
function describeRefusal(code: string, error: unknown): string {
  if (!isInHostCode(error) && !isRaised(error) && !QUOTES_VALUES.test(code)) {
    return `SQLSTATE ${code}, ${messageOf(error)}`;
  }
  const constraint = fieldOf(error, "constraint_name");
  const column = fieldOf(error, "column_name");
  const parts = [`SQLSTATE ${code}`];
  if (constraint !== null) parts.push(`constraint "${constraint}"`);
  if (column !== null) parts.push(`column "${column}"`);
  if (code === "P0001") parts.push("raised by a trigger or function");
  if (MISCONFIGURED.has(code)) parts.push("in a trigger, function or policy");
  return parts.join(", ");
}

/** SQLSTATE or Node error code; `null` for a programming error. */
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

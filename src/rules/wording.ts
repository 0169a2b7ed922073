/**
 * What ended runs say about themselves, in the host's words: users, the host's interface and its callback endpoint read
 * these texts. Wording, key order and merge rule are those of OpenHands automation (watchdog.py, run_status_detail.py).
 */
import type { Failure } from "./model.ts";
import { clean, tail } from "./text.ts";

/**
 * A wire contract: the callback endpoint may turn FAILED into COMPLETED for exactly the rows that start with this. It
 * stands before every presumption, and never before a verified exit code other than -1.
 */
export const PRESUMED_PREFIX = "Timed out: ";

const STDERR_TAIL = 1000;
const STDOUT_TAIL = 500;

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

export function killedError(output: Output): string {
  return joinLines([`${PRESUMED_PREFIX}command timed out or was killed`, stderrLine(output)]);
}

export function exitError(exitCode: number, output: Output): string {
  return joinLines([`exit_code=${exitCode}`, stderrLine(output), stdoutLine(output)]);
}

/** A failure that was stated without an exit code. Never starts like a presumption, whatever `detail` says. */
export function statedError(detail: string, output: Output): string {
  const text = clean(detail);
  const first = text === "" ? "Run failed" : `Run failed: ${tail(text, STDERR_TAIL)}`;
  return joinLines([first, stderrLine(output), stdoutLine(output)]);
}

export function presumedError(detail: string): string {
  return `${PRESUMED_PREFIX}${tail(clean(detail), STDERR_TAIL)}`;
}

/** One entry of `automation_runs.status_detail`. */
export interface StatusDetail {
  readonly phase: "verification" | "execution";
  readonly kind: Failure["kind"] | "environment_unavailable" | "execution_error";
  readonly detail: string;
  readonly transient: boolean;
  readonly source: string;
  readonly operation: string;
  readonly code?: string;
  readonly statusCode?: number;
  /** Left out, it is made of phase, source, operation, kind and status. */
  readonly fingerprint?: string;
  readonly extras?: Readonly<Record<string, string>>;
}

/**
 * The JSON text to store. An entry with the previous one's fingerprint keeps `first_seen_at` and counts on; another one
 * starts anew.
 *
 * @param previous the parsed column as it was read; anything.
 * @param at the database's clock, ISO 8601 with microseconds.
 */
export function statusDetailJson(entry: StatusDetail, previous: unknown, at: string): string {
  const now = pythonIso(at);
  const fingerprint = entry.fingerprint ?? fingerprintOf(entry);
  const before = asRecord(previous);
  const repeated = before?.["fingerprint"] === fingerprint ? before : null;
  const firstSeenAt = repeated?.["first_seen_at"];
  const count = repeated?.["count"];
  return JSON.stringify({
    phase: entry.phase,
    kind: entry.kind,
    detail: clean(entry.detail),
    transient: entry.transient,
    fingerprint,
    first_seen_at: typeof firstSeenAt === "string" ? firstSeenAt : now,
    last_seen_at: now,
    count: Number.isSafeInteger(count) ? Number(count) + 1 : 1,
    source: entry.source,
    operation: entry.operation,
    ...(entry.code === undefined ? {} : { code: entry.code }),
    ...(entry.statusCode === undefined ? {} : { status_code: entry.statusCode }),
    ...entry.extras,
  });
}

/** A failed question as the host records it; the last part of the fingerprint is empty without a status. */
export function failureDetailJson(failure: Failure, previous: unknown, at: string): string {
  const { source, operation, kind, statusCode, message } = failure;
  return statusDetailJson(
    {
      phase: "verification",
      kind,
      detail: message,
      transient: true,
      source,
      operation,
      fingerprint: `${source}:${operation}:${kind}:${statusCode ?? ""}`,
      ...(statusCode === null ? {} : { statusCode }),
    },
    previous,
    at,
  );
}

function fingerprintOf(entry: StatusDetail): string {
  const { phase, source, operation, kind, statusCode } = entry;
  return [phase, source, operation, kind, statusCode]
    .filter((part) => part !== undefined)
    .join(":");
}

/** Python's isoformat drops the microseconds when they are zero. */
function pythonIso(at: string): string {
  return at.replace(".000000", "");
}

function stderrLine(output: Output): string | null {
  const text = tail(clean(output.stderr), STDERR_TAIL);
  return text === "" ? null : `stderr: ${text}`;
}

function stdoutLine(output: Output): string | null {
  const text = tail(clean(output.stdout), STDOUT_TAIL);
  return text === "" ? null : `stdout: ${text}`;
}

function joinLines(lines: readonly (string | null)[]): string {
  return lines.filter((line) => line !== null).join("\n");
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return value as Readonly<Record<string, unknown>>;
}

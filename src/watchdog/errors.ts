/** The errors that are told apart, and what each of them ends. */
import type { SweepEnd } from "../rules/exit-code.ts";

/** Postgres could not be reached, or a statement's outcome is unknown. Trying again later is right. */
export class StoreUnavailableError extends Error {
  override readonly name = "StoreUnavailableError";
  /** There was no answer in time: it may concern this statement alone, while others are answered. */
  readonly late: boolean;

  constructor(message: string, options: ErrorOptions & { readonly late?: boolean } = {}) {
    super(message, options);
    this.late = options.late ?? false;
  }
}

/** Not sent: too many writes before it had no answer in time. */
export class LateWritesError extends StoreUnavailableError {}

/** A table, column or privilege is missing, or the schema is older than the program. The message names the remedy. */
export class StoreSchemaError extends Error {
  override readonly name = "StoreSchemaError";
  /** The message in parts: one for each thing that is wrong. */
  readonly problems: readonly string[];

  constructor(message: string | readonly string[], options?: ErrorOptions) {
    const problems = typeof message === "string" ? [message] : message;
    super(problems.join("; "), options);
    this.problems = problems;
  }
}

/** The lease store could not be reached, or an answer did not come in time. */
export class LeaseUnavailableError extends Error {
  override readonly name = "LeaseUnavailableError";
  /** What was asked for has not happened and never will: it was not sent, or refused. */
  readonly withoutEffect: boolean;

  constructor(message: string, options: ErrorOptions & { readonly withoutEffect?: boolean } = {}) {
    super(message, options);
    this.withoutEffect = options.withoutEffect ?? false;
  }
}

/** The term is over: nothing may be written in its name any more. */
export class LeaseLostError extends Error {
  override readonly name = "LeaseLostError";
}

/** A newer epoch was handed out: somebody else sweeps, and nothing of ours may be written any more. */
export class FencedError extends Error {
  override readonly name = "FencedError";
}

/** The backend's answer is too old to act upon. */
export class StaleEvidenceError extends Error {
  override readonly name = "StaleEvidenceError";
}

/** The process was asked to stop. The reason of the abort that reaches everything. */
export class StopRequestedError extends Error {
  override readonly name = "StopRequestedError";
  readonly signal: "SIGTERM" | "SIGINT";

  constructor(signal: "SIGTERM" | "SIGINT") {
    super(`stopped by ${signal}`);
    this.signal = signal;
  }
}

/** Whether an error concerns the whole sweep; any other one concerns what was being done, and the rest goes on. */
export function endsTheSweep(error: unknown): boolean {
  return (
    error instanceof LeaseLostError ||
    error instanceof FencedError ||
    error instanceof StoreUnavailableError ||
    error instanceof StoreSchemaError
  );
}

const NAMED = [
  StoreUnavailableError,
  StoreSchemaError,
  LeaseUnavailableError,
  LeaseLostError,
  FencedError,
  StaleEvidenceError,
  StopRequestedError,
] as const;

/** A name that is ours, or OpenTelemetry's word for all others: those may hold anything. */
export function errorTypeOf(error: unknown): string {
  const type = NAMED.find((named) => error instanceof named);
  return type?.name ?? "_OTHER";
}

/**
 * Does one piece of work whose failure does not keep others from being done.
 *
 * @param onTrouble told about a failure that concerns this piece alone.
 * @throws what ends the sweep, and everything once `signal` has aborted.
 */
export async function isolated(
  work: () => Promise<void>,
  onTrouble: (error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    // A statement that took too long was held up by what it touched, and others touch something else.
    const late = error instanceof StoreUnavailableError && error.late;
    if (signal.aborted || (endsTheSweep(error) && !late)) throw error;
    onTrouble(error);
  }
}

/**
 * What an error says to whoever reads a report. The message of one that nobody expected may hold anything, so that only
 * its kind is told.
 */
export function saidBy(error: unknown): string {
  if (!(error instanceof Error)) return "an unexpected error";
  if (!endsTheSweep(error) && !(error instanceof LeaseUnavailableError)) {
    return /^\w{1,40}$/.test(error.name) ? `an unexpected ${error.name}` : "an unexpected error";
  }
  const { cause } = error;
  const why = error instanceof LeaseLostError && cause instanceof LeaseUnavailableError;
  return why ? `${error.message}: ${cause.message}` : error.message;
}

/** How a sweep ended that threw: because it was asked to stop, or because it could not go on. */
export function endOf(stop: AbortSignal): SweepEnd {
  if (!stop.aborted) return { kind: "failed" };
  const { reason } = stop;
  // A host that embeds the worker aborts for reasons of its own, and means the same.
  const signal = reason instanceof StopRequestedError ? reason.signal : "SIGTERM";
  return { kind: "interrupted", signal };
}

/** Arguments as commander hands them over, read or refused with what was wanted. */
import { InvalidArgumentError } from "commander";
import { parseDuration } from "../config/env/env-reader.ts";
import { canonicalRunId, clean } from "../rules/text.ts";

export function uuids(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), uuid(value)];
}

export function uuid(value: string): string {
  const id = canonicalRunId(value);
  if (id === null) throw new InvalidArgumentError("It must be a run's id, a UUID.");
  return id;
}

export function positive(value: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number) || number < 1) {
    throw new InvalidArgumentError("It must be a whole number, at least 1.");
  }
  return number;
}

/** One answer is held in memory, and read by a person. */
export function verdictLimit(value: string): number {
  const number = positive(value);
  if (number > 1000) throw new InvalidArgumentError("It must be at most 1000.");
  return number;
}

/** As long as Postgres can subtract from now, and longer than any journal is kept. */
export function lengthOfTime(value: string): number {
  const ms = parseDuration(value);
  if (!(ms > 0 && ms <= LONGEST_DAYS * 86_400_000)) {
    throw new InvalidArgumentError(
      `It must be a duration such as 24h or 7d, at most ${LONGEST_DAYS}d.`,
    );
  }
  return ms;
}

const LONGEST_DAYS = 36_500;

export function waitTime(value: string): number {
  const ms = parseDuration(value);
  if (Number.isNaN(ms)) throw new InvalidArgumentError("It must be a duration such as 30s or 5m.");
  return ms;
}

const LONGEST_PAUSE_MS = 7 * 86_400_000;

/** A pause that is forgotten must not last: runs keep waiting. */
export function pauseTime(value: string): number {
  const ms = parseDuration(value);
  if (ms >= 1000 && ms <= LONGEST_PAUSE_MS) return ms;
  throw new InvalidArgumentError("It must be a duration from 1s to 7d, such as 30m or 2h.");
}

const LONGEST_LINE = 200;

export function oneLine(what: string): (value: string) => string {
  return (value) => {
    const line = clean(value)
      .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ")
      .trim();
    if (line !== "" && line.length <= LONGEST_LINE) return line;
    throw new InvalidArgumentError(`It must say ${what}, in at most ${LONGEST_LINE} characters.`);
  };
}

export function roleName(value: string): string {
  if (value !== "" && value === clean(value)) return value;
  throw new InvalidArgumentError("It must be the name of a database role.");
}

export function overrideReason(value: string): string {
  const reason = clean(value).trim();
  if (reason === "") throw new InvalidArgumentError("It must say why: the journal keeps it.");
  return reason;
}

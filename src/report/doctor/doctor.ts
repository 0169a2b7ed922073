import type { Check } from "../../rules/doctor/check.ts";
import { COLUMNS, wrap } from "./columns.ts";

const RESULT_WIDTH = 9;
const LINK_WIDTH = 17;
const INDENT = RESULT_WIDTH + LINK_WIDTH;

/** One line per link, and below it what goes on and the remedies. No line is longer than 80 columns. */
export function humanDoctor(checks: readonly Check[]): string {
  const lines = [...checks.flatMap(linesOf), "", summary(checks)];
  return `${lines.join("\n")}\n`;
}

export interface DoctorDocument {
  readonly version: 1;
  readonly status: "ok" | "warning" | "failure";
  readonly exitCode: number;
  readonly checks: readonly Check[];
}

/** Exactly one document and a newline. */
export function jsonDoctor(checks: readonly Check[], exitCode: number): string {
  const has = (wanted: Check["result"]) => checks.some(({ result }) => result === wanted);
  const status = has("failure") ? "failure" : has("warning") ? "warning" : "ok";
  const document: DoctorDocument = { version: 1, status, exitCode, checks };
  return `${JSON.stringify(document)}\n`;
}

function linesOf({ link, result, found, remedies }: Check): readonly string[] {
  const [first = "", ...more] = wrap(found, COLUMNS - INDENT);
  const blank = " ".repeat(INDENT);
  return [
    `${result.padEnd(RESULT_WIDTH)}${link.padEnd(LINK_WIDTH)}${first}`,
    ...more.map((line) => `${blank}${line}`),
    ...remedies.flatMap(remedyLines),
  ];
}

function remedyLines(remedy: string): readonly string[] {
  const mark = `${" ".repeat(RESULT_WIDTH)}-> `;
  const lines = wrap(remedy, COLUMNS - mark.length);
  return lines.map((line, index) => `${index === 0 ? mark : " ".repeat(mark.length)}${line}`);
}

function summary(checks: readonly Check[]): string {
  const count = (wanted: Check["result"]) =>
    checks.filter(({ result }) => result === wanted).length;
  const words: readonly (readonly [number, string, string])[] = [
    [count("failure"), "failure", "failures"],
    [count("warning"), "warning", "warnings"],
    [count("skipped"), "skipped", "skipped"],
    [count("ok"), "ok", "ok"],
  ];
  return words
    .filter(([number]) => number > 0)
    .map(([number, one, many]) => `${number} ${number === 1 ? one : many}`)
    .join(", ");
}

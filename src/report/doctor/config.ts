import type { ShownConfig, ShownSetting } from "../../rules/doctor/shown-config.ts";
import { COLUMNS, wrap } from "./columns.ts";

/** Of the longest name, and a blank. */
const NAME_WIDTH = 41;

/** Grouped by where a value came from. No line is longer than 80 columns. */
export function humanConfig({ fingerprint, settings, derived }: ShownConfig): string {
  const from = (source: ShownSetting["source"]) =>
    settings.filter((each) => each.used && each.source === source);
  const unused = settings.filter(({ used, source }) => !used && source !== "default");
  const groups = [
    group("set by variables", from("variable").map(rowOf)),
    group("set by files", from("file").map(rowOf)),
    group("set, but not used with these settings", unused.map(rowOf)),
    group(
      "derived",
      derived.map(({ name, value }) => [name, value] as const),
    ),
    group("defaults", from("default").map(rowOf)),
  ];
  const last =
    fingerprint === null ? "no fingerprint, there are problems" : `fingerprint ${fingerprint}`;
  return `${[...groups.filter((text) => text !== ""), last].join("\n\n")}\n`;
}

export interface ConfigDocument extends ShownConfig {
  readonly version: 1;
  readonly status: "ok" | "problems";
  readonly exitCode: number;
}

/** Exactly one document and a newline. */
export function jsonConfig(shown: ShownConfig, exitCode: number): string {
  const status = shown.problems.length > 0 ? "problems" : "ok";
  const document: ConfigDocument = { version: 1, status, exitCode, ...shown };
  return `${JSON.stringify(document)}\n`;
}

type Row = readonly [name: string, value: string];

function rowOf({ name, value, file }: ShownSetting): Row {
  const shown = value ?? "not set";
  return [name, file === null ? shown : `${shown} from ${file}`];
}

function group(title: string, rows: readonly Row[]): string {
  if (rows.length === 0) return "";
  return [`${title}:`, ...rows.flatMap(linesOf)].join("\n");
}

function linesOf([name, value]: Row): readonly string[] {
  const lines = wrap(value, COLUMNS - NAME_WIDTH - 2);
  return lines.map((line, index) =>
    `  ${(index === 0 ? name : "").padEnd(NAME_WIDTH)}${line}`.trimEnd(),
  );
}

import { parseArgs } from "node:util";

export interface BenchOptions {
  /** In the order in which they were named; empty for all. */
  readonly parts: readonly string[];
  /** `null` leaves a size to the part. */
  readonly runs: number | null;
  readonly rows: number | null;
  readonly rounds: number | null;
  readonly kills: number | null;
  readonly seconds: number | null;
  readonly answerMs: number | null;
  readonly atOnce: number | null;
  /** The sizes of which the limits speak, where the default ones are smaller. */
  readonly full: boolean;
  readonly profile: boolean;
  readonly withHost: boolean;
  readonly json: string | null;
  readonly help: boolean;
}

/** @returns what is wrong with them when they are wrong. */
export function parseOptions(
  argv: readonly string[],
  known: readonly string[],
): BenchOptions | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        runs: { type: "string" },
        rows: { type: "string" },
        rounds: { type: "string" },
        kills: { type: "string" },
        seconds: { type: "string" },
        "answer-ms": { type: "string" },
        "at-once": { type: "string" },
        full: { type: "boolean", default: false },
        profile: { type: "boolean", default: false },
        "with-host": { type: "boolean", default: false },
        json: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const unknown = positionals.filter((name) => !known.includes(name));
    if (unknown.length > 0) {
      return `there is no part ${unknown.join(", ")}; the parts are ${known.join(", ")}`;
    }
    const { full, profile, help, "with-host": withHost, json = null } = values;
    if (json === "") return "--json wants the name of a file, found an empty text";
    const size = (name: SizeName) => sizeOf(name, values[name]);
    const sizes = {
      runs: size("runs"),
      rows: size("rows"),
      rounds: size("rounds"),
      kills: size("kills"),
      seconds: size("seconds"),
      answerMs: size("answer-ms"),
      atOnce: size("at-once"),
    };
    return { parts: [...new Set(positionals)], ...sizes, full, profile, withHost, json, help };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

type SizeName = "runs" | "rows" | "rounds" | "kills" | "seconds" | "answer-ms" | "at-once";

function sizeOf(name: SizeName, text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new TypeError(`--${name} wants a whole number from 1 to 999999999, found "${text}"`);
}

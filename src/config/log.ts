import type { EnvReader } from "./env/env-reader.ts";

export interface LogConfig {
  readonly level: LogLevel;
  /** `null`: pretty on a terminal, else JSON. */
  readonly format: "json" | "pretty" | null;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export function readLog(reader: EnvReader): LogConfig {
  const word = reader.choice("LOG_LEVEL", LEVEL_WORDS, "info");
  const format = reader.choice("LOG_FORMAT", ["json", "pretty", "auto"], "auto");
  return { level: levelOf(word), format: format === "auto" ? null : format };
}

/** pino's levels, and Python's, because LOG_LEVEL is shared with the host service. */
const LEVEL_WORDS = [
  "trace",
  "debug",
  "info",
  "warn",
  "warning",
  "error",
  "fatal",
  "critical",
  "silent",
] as const;

function levelOf(word: (typeof LEVEL_WORDS)[number]): LogLevel {
  switch (word) {
    case "warning":
      return "warn";
    case "critical":
      return "fatal";
    default:
      return word;
  }
}

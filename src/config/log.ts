import type { EnvReader } from "./env/env-reader.ts";

export interface LogConfig {
  readonly level: LogLevel;
  /** `null`: pretty on a terminal, else JSON. */
  readonly format: "json" | "pretty" | null;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export function readLog(reader: EnvReader): LogConfig {
  const format = reader.choice("LOG_FORMAT");
  return { level: readLevel(reader), format: format === "auto" ? null : format };
}

/** In pino's words, or in Python's, because the host service reads the same variable. */
function readLevel(reader: EnvReader): LogLevel {
  const word = reader.choice("LOG_LEVEL");
  switch (word) {
    case "warning":
      return "warn";
    case "critical":
      return "fatal";
    default:
      return word;
  }
}

import type { Log } from "../../../src/watchdog/ports.ts";

export interface LogEntry {
  readonly level: keyof Log;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** Everything that was logged, in order. */
export function recordedLog(): { readonly log: Log; readonly entries: readonly LogEntry[] } {
  const entries: LogEntry[] = [];
  const note = (level: keyof Log) => (fields: object, message: string) =>
    void entries.push({ level, fields: { ...fields }, message });
  const log = {
    debug: note("debug"),
    info: note("info"),
    warn: note("warn"),
    error: note("error"),
  };
  return { log, entries };
}

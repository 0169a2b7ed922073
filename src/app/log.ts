import type { LogConfig } from "../config/log.ts";
import { openLog } from "../io/log.ts";
import type { Log } from "../watchdog/ports.ts";

/** `run` logs to stdout; commands that print a result there log to stderr. Dispose of it last. */
export function openProcessLog(
  { format, level }: LogConfig,
  stream: { isTTY?: boolean },
  fd: 1 | 2,
  colours = false,
): Log & AsyncDisposable {
  const pretty = format === null ? stream.isTTY === true : format === "pretty";
  return openLog({ level, pretty, colours, fd });
}

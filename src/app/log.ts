import type { LogConfig } from "../config/log.ts";
import { openLog } from "../io/log.ts";
import type { Log } from "../watchdog/ports.ts";

/** `run` logs to stdout; commands that print a result there log to stderr. Dispose of it last. */
export function openProcessLog(
  config: LogConfig,
  stream: { isTTY?: boolean },
  fd: 1 | 2,
): Log & AsyncDisposable {
  const pretty = config.format === null ? stream.isTTY === true : config.format === "pretty";
  return openLog({ level: config.level, pretty, fd });
}

import type { Log } from "./ports.ts";

/** The same log for somebody who is told of the runs by other means, or for whom they are no events: `info` is quieter. */
export function quietLog(log: Log, prefix = "", level: "info" | "debug" = "debug"): Log {
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log[level](fields, `${prefix}${message}`),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
  };
}

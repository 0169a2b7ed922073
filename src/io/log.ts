import { type DestinationStream, type Logger, pino } from "pino";
import pretty from "pino-pretty";

export interface LogOptions {
  /** pino's names, or `silent`. */
  readonly level: string;
  readonly pretty: boolean;
  /** File descriptor: 1 for stdout, 2 for stderr. */
  readonly fd: 1 | 2;
}

/**
 * JSON lines, or readable ones for a terminal. Written synchronously, so that nothing is lost when the process leaves
 * in a hurry; pino's worker threads do not survive bundling.
 */
export function openLog(options: LogOptions): Logger {
  const settings = {
    level: options.level,
    base: {},
    serializers: { err: describeError },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(settings, destination(options));
}

function destination(options: LogOptions): DestinationStream {
  if (!options.pretty) return pino.destination({ fd: options.fd, sync: true });
  return pretty({ destination: options.fd, sync: true, translateTime: "SYS:HH:MM:ss.l" });
}

interface DescribedError {
  readonly type: string;
  readonly message: string;
  readonly stack?: string | undefined;
  readonly cause?: DescribedError;
}

/**
 * Names and messages down the chain of causes, and nothing else of an error: libraries hang commands, parameters and
 * even passwords on theirs. A stack only where nobody expected the error.
 */
function describeError(error: unknown): DescribedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  return {
    type: error.name,
    message: error.message,
    ...(BUILT_IN.has(error.name) ? { stack: error.stack } : {}),
    ...(error.cause instanceof Error ? { cause: describeError(error.cause) } : {}),
  };
}

const BUILT_IN = new Set(["Error", "TypeError", "RangeError", "SyntaxError", "ReferenceError"]);

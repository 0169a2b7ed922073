import { type Logger, pino } from "pino";
import { prettyFactory } from "pino-pretty";
import { LogSink } from "./log-sink.ts";

/** A slow reader gets so long for what still waits when the log is closed. */
const FLUSH_WITHIN_MS = 2000;

export interface LogOptions {
  /** pino's names, or `silent`. */
  readonly level: string;
  readonly pretty: boolean;
  /** For readable lines only. */
  readonly colours: boolean;
  /** File descriptor: 1 for stdout, 2 for stderr. */
  readonly fd: 1 | 2;
}

/**
 * JSON lines, or readable ones for a terminal. Never throws and never blocks, see `LogSink`; pino's worker threads do not
 * survive bundling. Dispose of it at the end, so that a slow reader gets the last lines.
 */
export function openLog(options: LogOptions): Logger & AsyncDisposable {
  const formatted = options.pretty ? readableLines(options.colours) : (line: string) => line;
  const sink = new LogSink(options.fd, (dropped) => {
    // Whatever the level: who reads a log must know what it lacks.
    log
      .child({}, { level: "warn" })
      .warn({ dropped }, "the log could not be written for a while, lines were dropped");
  });
  const stream: LeveledStream = {
    [LEVELS_WANTED]: true,
    lastLevel: 0,
    write(line) {
      if (stream.lastLevel < WARN) sink.note(formatted(line));
      else sink.write(formatted(line));
    },
  };
  const log = pino(
    {
      level: options.level,
      base: {},
      serializers: { err: describeError },
      timestamp: time,
      formatters: { level: (label: string) => ({ level: label }) },
    },
    stream,
  );
  return Object.assign(log, { [Symbol.asyncDispose]: () => sink.flush(FLUSH_WITHIN_MS) });
}

let timeMs = 0;
let timeText = "";

/** As pino's `isoTime`, but once for all lines of a millisecond: a sweep has several. */
function time(): string {
  const nowMs = Date.now();
  if (nowMs === timeMs) return timeText;
  timeMs = nowMs;
  timeText = `,"time":"${new Date(nowMs).toISOString()}"`;
  return timeText;
}

/** What makes a line of JSON one for people. */
export function readableLines(colours: boolean): (line: string) => string {
  return prettyFactory({
    translateTime: "SYS:HH:MM:ss.l",
    colorize: colours,
    singleLine: true,
    errorLikeObjectKeys: [],
  });
}

/** Has pino say the level of each line before it writes it. */
const LEVELS_WANTED: unique symbol = Symbol.for("pino.metadata");
const { warn: WARN = 0 } = pino.levels.values;

interface LeveledStream {
  readonly [LEVELS_WANTED]: true;
  lastLevel: number;
  write(line: string): void;
}

/**
 * Names and messages down the chain of causes, and nothing else of an error: libraries hang commands, parameters and
 * even passwords on theirs. A stack only where nobody expected the error.
 */
function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  return {
    type: error.name,
    message: error.message,
    ...(BUILT_IN.has(error.name) ? { stack: error.stack } : {}),
    ...(error.cause instanceof Error ? { cause: describeError(error.cause) } : {}),
  };
}

const BUILT_IN = new Set(["Error", "TypeError", "RangeError", "SyntaxError", "ReferenceError"]);

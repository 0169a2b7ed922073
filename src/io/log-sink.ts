import { constants, openSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isatty } from "node:tty";
import { pino } from "pino";

/** How much may wait to be written. */
const WAITING_BYTES = 1024 * 1024;
const RETRY_EVERY_MS = 20;

/**
 * Writes lines to a file descriptor and never waits for it, so that neither a full disk nor a reader that stalls holds
 * up or ends the work. What cannot be written is kept and tried again; beyond a limit lines are dropped and counted.
 *
 * Everything is written by the time `write` returns, unless it has to wait: a process that leaves in a hurry loses
 * nothing in the ordinary case. What is only noted goes with the next write, or with the others of its turn: a sweep has
 * a line for each of thousands of runs, and each write costs as much as the line itself.
 */
export class LogSink {
  readonly #stream: ReturnType<typeof pino.destination>;
  readonly #onDropped: (lines: number) => void;
  #waiting = false;
  #dropped = 0;
  #retry: NodeJS.Timeout | null = null;
  #noted = "";
  #turn: NodeJS.Immediate | null = null;

  /**
   * @param fd stdout or stderr. Node makes a pipe non-blocking when `process.stdout` or `process.stderr` is first used.
   * @param onDropped told how many lines are missing, when lines are written again.
   */
  constructor(fd: 1 | 2, onDropped: (lines: number) => void) {
    this.#onDropped = onDropped;
    this.#stream = pino.destination({
      fd: withoutBlocking(fd),
      sync: true,
      maxLength: WAITING_BYTES,
      // By default it would put the whole process to sleep until the pipe has room.
      retryEAGAIN: () => false,
    });
    // pino's own listener gives up for ever when a reader goes away, and throws other errors at whoever logs.
    this.#stream.removeAllListeners("error");
    this.#stream.on("error", () => {
      this.#waiting = true;
    });
    this.#stream.on("drop", (text: string) => {
      this.#waiting = true;
      this.#dropped += text.split("\n").length - 1;
    });
  }

  /** Written at the end of this turn of the event loop at the latest. */
  note(text: string): void {
    this.#noted += text;
    this.#turn ??= setImmediate(() => this.write(""));
  }

  write(text: string): void {
    const all = this.#noted + text;
    this.#noted = "";
    if (this.#turn !== null) clearImmediate(this.#turn);
    this.#turn = null;
    this.#waiting = false;
    // Its events come before it returns.
    this.#stream.write(all);
    if (this.#waiting) {
      this.#retry ??= setTimeout(() => this.#tryAgain(), RETRY_EVERY_MS).unref();
    } else if (this.#dropped > 0) {
      const dropped = this.#dropped;
      this.#dropped = 0;
      this.#onDropped(dropped);
    }
  }

  /** Resolves when nothing waits any more, or after that long. */
  async flush(withinMs: number): Promise<void> {
    if (this.#noted !== "") this.write("");
    for (let leftMs = withinMs; this.#waiting && leftMs > 0; leftMs -= RETRY_EVERY_MS) {
      await sleep(RETRY_EVERY_MS);
      this.#tryAgain();
    }
  }

  #tryAgain(): void {
    this.#retry = null;
    this.write("");
  }
}

/** A terminal that was stopped, or whose other side is not read, blocks: unless it is opened once more, for us alone. */
function withoutBlocking(fd: 1 | 2): number {
  if (!isatty(fd)) return fd;
  try {
    return openSync(
      `/dev/fd/${fd}`,
      constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY,
    );
  } catch {
    return fd;
  }
}

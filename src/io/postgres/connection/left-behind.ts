import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../../../watchdog/ports.ts";
import { type Session, succeeds } from "./session.ts";

/**
 * Sessions that were given up without an answer. The server may have them for longer than we do: what they were asked
 * for goes on there, or it never learned that the network lost us. As long as that may be so they count.
 *
 * Where the wish to cancel was not heard it is repeated until it is; the way to the server is open again then, and the
 * end of our socket arrives as well. Where it was heard and the session stayed silent all the same, nothing more can be
 * done: the server is given the time that networks take to notice a dead connection. A pooler keeps count by itself.
 */
export class LeftBehind {
  readonly #log: Log;
  readonly #closing = new AbortController();
  #count = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  get count(): number {
    return this.#count;
  }

  add(session: Session, heard: boolean): void {
    if (heard && !session.direct) return;
    this.#count += 1;
    this.#log.warn(
      { sessions: this.#count, cancelled: heard },
      "a session that did not answer may still be at work on the server",
    );
    const gone = heard ? this.#wait(FORGOTTEN_AFTER_MS) : this.#repeat(session);
    void gone.then(() => {
      this.#count -= 1;
    });
  }

  close(): void {
    this.#closing.abort();
  }

  async #repeat(session: Session): Promise<void> {
    const untilMs = performance.now() + FORGOTTEN_AFTER_MS;
    while (performance.now() < untilMs) {
      await this.#wait(CANCEL_AGAIN_AFTER_MS);
      if (this.#closing.signal.aborted || (await succeeds(session.cancel()))) return;
    }
  }

  async #wait(ms: number): Promise<void> {
    await sleep(ms, null, { ref: false, signal: this.#closing.signal }).catch(() => {});
  }
}

const CANCEL_AGAIN_AFTER_MS = 5000;
const FORGOTTEN_AFTER_MS = 300_000;

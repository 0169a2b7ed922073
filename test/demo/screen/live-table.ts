/** The table of runs on a terminal, kept up to date until the end. */
import { setTimeout as sleep } from "node:timers/promises";
import type { DemoDatabase } from "../scenario/database.ts";
import type { Screen } from "./screen.ts";
import { RUN_TABLE_LINES, runTable } from "./tables.ts";

const EVERY_MS = 250;

export const LIVE_LINES = RUN_TABLE_LINES + 1;

export class LiveTable {
  readonly #stop = new AbortController();
  readonly #shown: Promise<void>;

  constructor(screen: Screen, database: DemoDatabase) {
    this.#shown = screen.live ? this.#keepShowing(screen, database) : Promise.resolve();
    // `end` throws it.
    this.#shown.catch(() => undefined);
  }

  /** Takes it off the screen. Safe to call again. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.#shown;
  }

  async #keepShowing(screen: Screen, database: DemoDatabase): Promise<void> {
    const { signal } = this.#stop;
    try {
      while (!signal.aborted) {
        screen.show(["", ...runTable(await database.groups())]);
        await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      screen.show([]);
    }
  }
}

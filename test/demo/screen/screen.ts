/** Where the demo is shown: lines, and on a terminal a block below them that is kept up to date. */
import { clearScreenDown, moveCursor } from "node:readline";
import type { Stdout } from "../../../src/app/stdout.ts";

const WIDTH = 80;
/** Where the text of an event begins. */
export const INDENT = " ".repeat(10);

export interface Screen {
  /** Whether `show` can be seen. */
  readonly live: boolean;
  /** Prints an event: the time since the start, then the text, wrapped. */
  readonly announce: (text: string) => void;
  /** Lines as they are. */
  readonly print: (lines: readonly string[]) => void;
  /** Replaces the block that stands below everything else. */
  readonly show: (lines: readonly string[]) => void;
}

/** @param blockLines the most lines that `show` will get. */
export function openScreen(stdout: Stdout, blockLines: number): Screen {
  const startedAt = performance.now();
  const { columns = 0, rows = 0 } = stdout;
  const live = stdout.isTTY === true && columns >= WIDTH && rows > blockLines + 2;
  let block: readonly string[] = [];

  function write(above: readonly string[], below: readonly string[]): void {
    // One write for all of it: a terminal never shows half a table.
    stdout.cork();
    if (block.length > 0) {
      moveCursor(stdout, -WIDTH, -block.length);
      clearScreenDown(stdout);
    }
    for (const line of [...above, ...below]) stdout.write(`${line}\n`);
    block = below;
    stdout.uncork();
  }

  return {
    live,
    announce: (text) => {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      write(wrapped(text, `${seconds.padStart(6)} s  `), block);
    },
    print: (lines) => write(lines, block),
    show: (lines) => {
      if (live) write([], lines);
    },
  };
}

/** At most 80 columns; what follows is indented like the text of an event. */
export function wrapped(text: string, head: string): readonly string[] {
  const lines: string[] = [];
  let line = head;
  for (const word of text.split(" ")) {
    const bare = line.trim() === "" || line === head;
    if (!bare && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = INDENT + word;
    } else {
      line += bare ? word : ` ${word}`;
    }
  }
  return [...lines, line];
}

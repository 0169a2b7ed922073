import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { noProgress, progressBar } from "../../src/report/progress.ts";

describe("progressBar", () => {
  it("shows nothing for 49 runs", () => {
    const { stream, shown } = terminal();
    const bar = progressBar(stream);
    bar.begin(49);
    bar.advance();
    bar.stop();
    expect(shown()).toBe("");
  });

  it("shows for 50 runs how many there are and how many have ended", () => {
    const { stream, shown } = terminal();
    const bar = progressBar(stream);
    bar.begin(50);
    expect(shown()).toMatch(/sweeping .* 0\/50 runs/);
    for (let ended = 0; ended < 50; ended += 1) bar.advance();
    bar.stop();
    expect(shown()).toContain("50/50 runs");
  });

  it("gives the terminal's cursor back, also when the sweep was cut short", () => {
    const { stream, raw } = terminal();
    const bar = progressBar(stream);
    bar.begin(50);
    bar.advance();
    bar.stop();
    const HIDE = "\u001b[?25l";
    const SHOW = "\u001b[?25h";
    expect(raw()).toContain(HIDE);
    expect(raw().lastIndexOf(SHOW)).toBeGreaterThan(raw().lastIndexOf(HIDE));
  });

  it("is over when it is stopped, and may be stopped before it began and twice", () => {
    const { stream, shown } = terminal();
    const bar = progressBar(stream);
    bar.stop();
    bar.begin(50);
    bar.stop();
    bar.stop();
    const before = shown();
    bar.advance();
    expect(shown()).toBe(before);
  });
});

describe("noProgress", () => {
  it("takes everything and shows nothing", () => {
    expect(() => {
      noProgress.begin(5000);
      noProgress.advance();
      noProgress.stop();
    }).not.toThrow();
  });
});

/** What cli-progress asks of a terminal, with what it was sent. */
function terminal() {
  let text = "";
  const sink = new PassThrough().setEncoding("utf8");
  sink.on("data", (chunk: string) => {
    text += chunk;
  });
  const move = (_x: number, _y: number | null = null) => true;
  const stream = Object.assign(sink, {
    isTTY: true,
    columns: 120,
    cursorTo: move,
    moveCursor: move,
    clearLine: () => true,
    clearScreenDown: () => true,
  }) as unknown as NodeJS.WriteStream;
  return {
    stream,
    raw: () => {
      sink.read();
      return text;
    },
    shown: () => {
      sink.read();
      return stripVTControlCharacters(text);
    },
  };
}

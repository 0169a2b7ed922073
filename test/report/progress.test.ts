import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import {
  noProgress,
  type ProgressTime,
  progressBar,
  progressLine,
} from "../../src/report/progress.ts";

describe("progressBar", () => {
  it("shows nothing until the sweep has taken a second", () => {
    const { bar, time, shown } = stand();
    bar.begin(5000);
    bar.advance();
    time.advance(999);
    expect(shown()).toBe("");
    time.advance(1);
    expect(shown()).toContain("1 of 5,000 runs, 1.0 a second");
    bar.stop();
  });

  it("shows nothing of a sweep that was over before", () => {
    const { bar, time, shown } = stand();
    bar.begin(5000);
    bar.advance();
    bar.stop();
    time.advance(5000);
    expect(shown()).toBe("");
  });

  it("goes on counting once it is shown", () => {
    const { bar, time, shown } = stand();
    bar.begin(3);
    time.advance(1000);
    for (let ended = 0; ended < 3; ended += 1) bar.advance();
    bar.stop();
    expect(shown()).toContain("0 of 3 runs");
    expect(shown()).toContain("3 of 3 runs, 3.0 a second");
  });

  it("gives the terminal's cursor back, also when the sweep was cut short", () => {
    const { bar, time, raw } = stand();
    bar.begin(50);
    time.advance(1000);
    bar.advance();
    bar.stop();
    const HIDE = "\u001b[?25l";
    const SHOW = "\u001b[?25h";
    expect(raw()).toContain(HIDE);
    expect(raw().lastIndexOf(SHOW)).toBeGreaterThan(raw().lastIndexOf(HIDE));
  });

  it("is over when it is stopped, and may be stopped before it began and twice", () => {
    const { bar, time, shown } = stand();
    bar.stop();
    bar.begin(50);
    time.advance(1000);
    bar.stop();
    bar.stop();
    const before = shown();
    bar.advance();
    expect(shown()).toBe(before);
  });
});

describe("progressLine", () => {
  it("tells how many have ended, how fast, and how long the rest will take", () => {
    expect(progressLine(1250, 5000, 5000)).toBe(
      "sweeping ████░░░░░░░░░░░░ 1,250 of 5,000 runs, 250 a second, 15 s left",
    );
  });

  it("tells no rate before the first has ended, and no time when the last has", () => {
    expect(progressLine(0, 50, 2000)).toBe("sweeping ░░░░░░░░░░░░░░░░ 0 of 50 runs");
    expect(progressLine(50, 50, 20_000)).toBe(
      "sweeping ████████████████ 50 of 50 runs, 2.5 a second",
    );
  });

  it("tells the last seconds as whole ones", () => {
    expect(progressLine(10, 35, 4000)).toMatch(/, 10 s left$/);
    expect(progressLine(10, 34, 4000)).toMatch(/, 10 s left$/);
    expect(progressLine(10, 11, 4000)).toMatch(/, 1 s left$/);
  });

  it("counts on when there were more than expected", () => {
    expect(progressLine(60, 50, 6000)).toBe("sweeping ████████████████ 60 of 50 runs, 10 a second");
  });

  it("stays within 80 columns for a hundred thousand runs", () => {
    expect(progressLine(99_999, 100_000, 1_000_000).length).toBeLessThanOrEqual(80);
    expect(progressLine(10_000, 100_000, 100_000_000).length).toBeLessThanOrEqual(80);
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

function stand() {
  const { stream, raw, shown } = terminal();
  const time = new SteppedTime();
  return { bar: progressBar(stream, time), time, raw, shown };
}

/** Passes when it is told to. */
class SteppedTime implements ProgressTime {
  #nowMs = 0;
  #due: { readonly atMs: number; readonly act: () => void }[] = [];

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(ms: number, act: () => void): () => void {
    const planned = { atMs: this.#nowMs + ms, act };
    this.#due.push(planned);
    return () => {
      this.#due = this.#due.filter((each) => each !== planned);
    };
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    const due = this.#due.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#due = this.#due.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { act } of due) act();
  }
}

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

import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { openScreen } from "./screen.ts";

describe("openScreen", () => {
  const TEXT = `${"word ".repeat(30)}end`;

  it("wraps what it announces at 80 columns, and shows no block where there is no terminal", () => {
    const { screen, shown } = screenOn({});
    screen.show(["a table"]);
    screen.announce(TEXT);
    const lines = shown().split("\n").slice(0, -1);
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/^ {3}\d\.\d s {2}word word/);
    expect(lines[1]).toMatch(/^ {10}word word/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.map((line) => line.slice(10)).join(" ")).toBe(TEXT);
  });

  it("draws the block anew below each line on a terminal, and takes it away in the end", () => {
    const { screen, shown } = screenOn({ isTTY: true, columns: 80, rows: 24 });
    screen.show(["one", "two"]);
    screen.print(["a line"]);
    screen.show([]);
    const away = "\u001b[80D\u001b[2A\u001b[0J";
    expect(shown()).toBe(`one\ntwo\n${away}a line\none\ntwo\n${away}`);
  });

  for (const { where, size } of [
    { where: "too narrow", size: { columns: 79, rows: 24 } },
    { where: "too low", size: { columns: 80, rows: 12 } },
  ]) {
    it(`prints plain lines on a terminal that is ${where} for the block`, () => {
      const { screen, shown } = screenOn({ isTTY: true, ...size });
      screen.show(["one", "two"]);
      screen.print(["a line"]);
      expect(screen.live).toBe(false);
      expect(shown()).toBe("a line\n");
    });
  }
});

function screenOn(terminal: { isTTY?: boolean; columns?: number; rows?: number }) {
  const stream = Object.assign(new PassThrough(), terminal);
  // A terminal's other abilities are not asked for.
  const screen = openScreen(stream as unknown as NodeJS.WriteStream, 10);
  return { screen, shown: () => String(stream.read() ?? "") };
}

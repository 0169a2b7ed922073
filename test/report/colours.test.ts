import { describe, expect, it } from "vitest";
import { wantsColours } from "../../src/report/colours.ts";

describe("wantsColours", () => {
  for (const { name, isTTY, env, expected } of [
    { name: "on a terminal", isTTY: true, env: { TERM: "xterm" }, expected: true },
    { name: "on a terminal that tells no name", isTTY: true, env: {}, expected: true },
    { name: "into a file or a pipe", isTTY: undefined, env: { TERM: "xterm" }, expected: false },
    { name: "where NO_COLOR is set", isTTY: true, env: { NO_COLOR: "1" }, expected: false },
    { name: "where NO_COLOR is set to 0", isTTY: true, env: { NO_COLOR: "0" }, expected: false },
    { name: "where NO_COLOR is empty", isTTY: true, env: { NO_COLOR: "" }, expected: true },
    { name: "on a dumb terminal", isTTY: true, env: { TERM: "dumb" }, expected: false },
  ]) {
    it(`is ${expected} ${name}`, () => {
      expect(wantsColours({ isTTY }, env)).toBe(expected);
    });
  }
});

import { describe, expect, it } from "vitest";
import { programOf } from "./program.ts";

describe("programOf", () => {
  it("starts a script on this Node.js", () => {
    const { self } = programOf({ program: "/dist/main.js", image: undefined }, {});
    expect(self).toEqual([process.execPath, "/dist/main.js"]);
  });

  it("starts any other file as the command that it is", () => {
    const { self } = programOf({ program: "/bin/run-watchdog", image: undefined }, {});
    expect(self).toEqual(["/bin/run-watchdog"]);
  });

  it("takes an image before a file", () => {
    const { self } = programOf({ program: "/dist/main.js", image: "run-watchdog:1" }, {});
    expect(self).toEqual([
      process.execPath,
      expect.stringMatching(/in-image\.ts$/),
      "run-watchdog:1",
    ]);
  });
});

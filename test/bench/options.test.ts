import { describe, expect, it } from "vitest";
import { parseOptions } from "./options.ts";

const KNOWN = ["cpu", "idle"];
const DEFAULTS = {
  parts: [],
  runs: null,
  rows: null,
  rounds: null,
  kills: null,
  seconds: null,
  answerMs: null,
  atOnce: null,
  full: false,
  profile: false,
  withHost: false,
  json: null,
  help: false,
};

describe("parseOptions", () => {
  it("asks for all parts in their own sizes when nothing is said", () => {
    expect(parseOptions([], KNOWN)).toEqual(DEFAULTS);
  });

  it("takes parts, sizes and switches in any order", () => {
    const argv = [
      "--runs",
      "500",
      "idle",
      "--profile",
      "cpu",
      "--rounds=2",
      "--answer-ms=5",
      "--at-once",
      "16",
    ];
    expect(parseOptions(argv, KNOWN)).toEqual({
      ...DEFAULTS,
      parts: ["idle", "cpu"],
      runs: 500,
      rounds: 2,
      answerMs: 5,
      atOnce: 16,
      profile: true,
    });
  });

  it("takes the name of a file", () => {
    expect(parseOptions(["--json", "out.json"], KNOWN)).toEqual({ ...DEFAULTS, json: "out.json" });
  });

  it("names each part once", () => {
    expect(parseOptions(["cpu", "cpu"], KNOWN)).toMatchObject({ parts: ["cpu"] });
  });

  it.each([
    { argv: ["speed"], wrong: "there is no part speed; the parts are cpu, idle" },
    { argv: ["--runs", "0"], wrong: '--runs wants a whole number from 1 to 999999999, found "0"' },
    { argv: ["--rows=1e6"], wrong: '--rows wants a whole number from 1 to 999999999, found "1e6"' },
    { argv: ["--kills=-1"], wrong: '--kills wants a whole number from 1 to 999999999, found "-1"' },
    { argv: ["--json", ""], wrong: "--json wants the name of a file, found an empty text" },
  ])("refuses $argv", ({ argv, wrong }) => {
    expect(parseOptions(argv, KNOWN)).toBe(wrong);
  });

  it("refuses an option that it does not know", () => {
    expect(parseOptions(["--fast"], KNOWN)).toMatch(/--fast/);
  });
});

import { describe, expect, it } from "vitest";
import {
  type Check,
  doctorExitCode,
  failure,
  ifKnown,
  ok,
  skipped,
  span,
  warning,
} from "../../../src/rules/doctor/check.ts";

describe("doctorExitCode", () => {
  const cases: readonly (readonly [string, readonly Check[], boolean, number])[] = [
    ["0 when all is well", [ok("a", "")], true, 0],
    ["0 when something only deserves a look", [ok("a", ""), warning("b", "")], true, 0],
    ["0 when something was skipped alone", skipped("a", "b"), true, 0],
    ["1 when a link is broken", [ok("a", ""), failure("b", "")], true, 1],
    ["2 when the settings cannot be used", [failure("settings", "")], false, 2],
    ["2 even when all else is well", [ok("a", "")], false, 2],
  ];
  it.each(cases)("is %s", (_, checks, usable, code) => {
    expect(doctorExitCode(checks, usable)).toBe(code);
  });
});

describe("ifKnown", () => {
  it("checks what is known", () => {
    const fact = { kind: "known", value: 3 } as const;
    expect(ifKnown("a", fact, (value) => ok("a", String(value)))).toEqual(ok("a", "3"));
  });

  it("warns of what could not be looked at, and says why", () => {
    const fact = { kind: "unknown", why: "it is dark" } as const;
    expect(ifKnown("a", fact, () => ok("a", ""), "switch on the light")).toEqual(
      warning("a", "could not be looked at: it is dark", "switch on the light"),
    );
  });
});

describe("span", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "less than 1 ms"],
    [0.99, "less than 1 ms"],
    [1, "1 ms"],
    [999, "999 ms"],
    [1000, "1 s"],
    [59_400, "59 s"],
    [60_000, "1 min"],
    [90_000, "1 min 30 s"],
    [3_599_000, "59 min 59 s"],
    [3_600_000, "1 h"],
    [5_400_000, "1 h 30 min"],
    [86_400_000, "1 d"],
    [90_000_000, "1 d 1 h"],
  ];
  it.each(cases)("writes %s ms as %s", (ms, text) => {
    expect(span(ms)).toBe(text);
  });
});

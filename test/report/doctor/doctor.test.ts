import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { humanDoctor, jsonDoctor } from "../../../src/report/doctor/doctor.ts";
import { type Check, failure, ok, skipped, warning } from "../../../src/rules/doctor/check.ts";

const CHECKS: readonly Check[] = [
  ok("settings", "can be used"),
  failure("postgres", "connecting failed", "start it", "or set DATABASE_URL"),
  ...skipped("postgres", "own tables"),
];

describe("humanDoctor", () => {
  it("has a line per link, its remedies below it, and a sum", () => {
    expect(humanDoctor(CHECKS)).toBe(
      [
        "ok       settings         can be used",
        "failure  postgres         connecting failed",
        "         -> start it",
        "         -> or set DATABASE_URL",
        'skipped  own tables       needs "postgres"',
        "",
        "1 failure, 1 skipped, 1 ok",
        "",
      ].join("\n"),
    );
  });

  it("never needs more than 80 columns", () => {
    const text = fc.string({ maxLength: 300 });
    fc.assert(
      fc.property(text, fc.array(text, { maxLength: 3 }), (found, remedies) => {
        const lines = humanDoctor([warning("host's watchdog", found, ...remedies)]).split("\n");
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
      }),
    );
  });
});

describe("jsonDoctor", () => {
  it("is one document on one line", () => {
    const text = jsonDoctor(CHECKS, 1);
    expect(text.endsWith("}\n")).toBe(true);
    expect(JSON.parse(text)).toEqual({
      version: 1,
      status: "failure",
      exitCode: 1,
      checks: CHECKS,
    });
  });

  it("names the worst result", () => {
    const statusOf = (...checks: readonly Check[]) => JSON.parse(jsonDoctor(checks, 0)).status;
    expect(statusOf(ok("a", ""))).toBe("ok");
    expect(statusOf(ok("a", ""), warning("b", ""))).toBe("warning");
    expect(statusOf(warning("b", ""), failure("c", ""))).toBe("failure");
  });
});

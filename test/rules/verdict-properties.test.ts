import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Evidence, RunSnapshot, Verdict } from "../../src/rules/model.ts";
import { hardDeadline, judge } from "../../src/rules/verdict.ts";
import { BEGAN_AT_MS, POLICY, snapshot } from "../support/stands/snapshot.ts";

describe("judge, for any row and evidence", () => {
  const anyText = fc.string({ unit: "binary", maxLength: 40 });
  const output = { stdout: anyText, stderr: fc.oneof(anyText, fc.constant("Timed out: no")) };
  const anyFailure = fc.record({
    source: fc.constantFrom("sandbox_api", "agent_server"),
    operation: fc.constant("get_sandbox"),
    kind: fc.constantFrom("rate_limited", "timeout", "transport", "server_error", "unknown"),
    statusCode: fc.option(fc.integer({ min: 300, max: 599 })),
    message: anyText,
    retryAfterMs: fc.option(fc.nat()),
  } as const);
  const anyEvidence: fc.Arbitrary<Evidence> = fc.oneof(
    fc.record({
      kind: fc.constant("exited"),
      exitCode: fc.integer({ min: -3, max: 3 }),
      ...output,
    } as const),
    fc.record({
      kind: fc.constant("failed"),
      detail: fc.oneof(anyText, fc.constant("Timed out: a lie")),
      ...output,
    } as const),
    fc.record({
      kind: fc.constant("running"),
      output: fc.constantFrom("none", "partial"),
    } as const),
    fc.constant({ kind: "starting" } as const),
    fc.record({
      kind: fc.constant("no-command"),
      sandbox: fc.constantFrom("running", "not-asked"),
    } as const),
    fc.record({
      kind: fc.constant("gone"),
      reason: fc.constantFrom(
        "no-record",
        "missing",
        "paused",
        "no-sandbox-id",
        "command-unknown",
        "server-restarted",
      ),
    } as const),
    fc.record({ kind: fc.constant("gone"), reason: fc.constant("lost"), detail: anyText } as const),
    fc.record({ kind: fc.constantFrom("unreachable", "malformed"), failure: anyFailure } as const),
  );
  const anyRun = fc
    .record({
      timeoutS: fc.option(fc.integer({ min: 1, max: 100_000 })),
      statusDetail: fc.jsonValue(),
    })
    .map(snapshot);
  const anyMs = fc.integer({ min: BEGAN_AT_MS, max: BEGAN_AT_MS + 5_000_000 });

  const cases: readonly {
    readonly name: string;
    readonly holds: (verdict: Verdict, evidence: Evidence, run: RunSnapshot, atMs: number) => void;
  }[] = [
    {
      name: "lets a callback overturn presumptions and exit code -1, and nothing else",
      holds: (verdict, evidence) => {
        if (verdict.kind !== "fail") return;
        const killed = evidence.kind === "exited" && evidence.exitCode === -1;
        const overturnable = verdict.errorDetail.startsWith("Timed out: ");
        expect(overturnable).toBe(verdict.basis === "presumption" || killed);
      },
    },
    {
      name: "ends a run only on what was said about it",
      holds: (verdict, evidence) => {
        const cannotTell = evidence.kind === "unreachable" || evidence.kind === "malformed";
        expect(verdict.kind === "undetermined").toBe(cannotTell);
      },
    },
    {
      name: "calls nothing a proof but an exit code or an explicit failure",
      holds: (verdict, evidence) => {
        const proof = "basis" in verdict && verdict.basis === "proof";
        expect(proof).toBe(evidence.kind === "exited" || evidence.kind === "failed");
      },
    },
    {
      name: "never defers at the hard deadline",
      holds: (verdict, _evidence, run, atMs) => {
        if (verdict.kind !== "defer") return;
        expect(atMs).toBeLessThan(hardDeadline(run, POLICY));
      },
    },
    {
      name: "gives texts that Postgres takes",
      holds: (verdict) => {
        if (verdict.kind !== "fail") return;
        expect(verdict.errorDetail).not.toContain("\0");
        expect(verdict.errorDetail.isWellFormed()).toBe(true);
        expect(verdict.statusDetail.isWellFormed()).toBe(true);
      },
    },
    {
      name: "gives the same verdict for the same inputs",
      holds: (verdict, evidence, run, atMs) => {
        expect(judge(structuredClone(run), evidence, POLICY, atMs)).toEqual(verdict);
      },
    },
  ];
  for (const { name, holds } of cases) {
    it(name, () => {
      fc.assert(
        fc.property(anyRun, anyEvidence, anyMs, (run, evidence, atMs) => {
          holds(judge(run, evidence, POLICY, atMs), evidence, run, atMs);
        }),
      );
    });
  }
});

describe("hardDeadline", () => {
  const cases = [
    {
      name: "takes the service's default for an automation without a timeout",
      timeoutS: null,
      runMs: 600_000,
    },
    { name: "takes the automation's own timeout", timeoutS: 30, runMs: 30_000 },
    { name: "takes an own timeout one second below the maximum", timeoutS: 1799, runMs: 1_799_000 },
    { name: "takes an own timeout at the maximum", timeoutS: 1800, runMs: 1_800_000 },
    { name: "cuts an own timeout one second above the maximum", timeoutS: 1801, runMs: 1_800_000 },
  ];
  for (const { name, timeoutS, runMs } of cases) {
    it(name, () => {
      const run = snapshot({ timeoutS });
      expect(hardDeadline(run, POLICY)).toBe(BEGAN_AT_MS + 300_000 + runMs + 600_000);
    });
  }

  it("cuts the default at the maximum too", () => {
    const policy = { ...POLICY, maxRunMs: 60_000 };
    expect(hardDeadline(snapshot(), policy)).toBe(BEGAN_AT_MS + 300_000 + 60_000 + 600_000);
  });
});

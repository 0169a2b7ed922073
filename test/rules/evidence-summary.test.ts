import { describe, expect, it } from "vitest";
import { summarise } from "../../src/rules/evidence-summary.ts";
import type { Evidence } from "../../src/rules/model.ts";
import { failure } from "../support/stands/snapshot.ts";

const SECRET = "a tenant's words";

describe("summarise", () => {
  const cases: readonly { readonly evidence: Evidence; readonly expected: object }[] = [
    {
      evidence: { kind: "exited", exitCode: 3, stdout: SECRET, stderr: `${SECRET}!` },
      expected: { kind: "exited", exit_code: 3, stdout_chars: 16, stderr_chars: 17 },
    },
    {
      evidence: { kind: "failed", detail: SECRET, stdout: SECRET, stderr: SECRET },
      expected: { kind: "failed", detail_chars: 16 },
    },
    {
      evidence: { kind: "running", output: "partial" },
      expected: { kind: "running", output: "partial" },
    },
    { evidence: { kind: "starting" }, expected: { kind: "starting" } },
    { evidence: { kind: "no-command", sandbox: "running" }, expected: { kind: "no-command" } },
    {
      evidence: { kind: "gone", reason: "lost", detail: SECRET },
      expected: { kind: "gone", reason: "lost" },
    },
    ...(["command-unknown", "server-restarted"] as const).map((reason) => ({
      evidence: { kind: "gone", reason, detail: SECRET } as const,
      expected: { kind: "gone", reason },
    })),
    ...(["unreachable", "malformed"] as const).map((kind) => ({
      evidence: { kind, failure: failure({ message: SECRET }) },
      expected: {
        kind,
        source: "sandbox_api",
        operation: "get_sandbox",
        problem: "rate_limited",
        status_code: 429,
      },
    })),
  ];
  for (const { evidence, expected } of cases) {
    const kind = evidence.kind === "gone" ? `gone, ${evidence.reason}` : evidence.kind;
    it(`keeps of "${kind}" codes, statuses and sizes alone`, () => {
      expect(summarise(evidence)).toEqual(expected);
      expect(JSON.stringify(summarise(evidence))).not.toContain(SECRET);
    });
  }
});

import { describe, expect, it } from "vitest";
import { isAuthoritative, provesLife, summarise } from "../../src/rules/evidence.ts";
import type { Evidence, GoneReason } from "../../src/rules/model.ts";
import { failure } from "../support/stands/snapshot.ts";

const SECRET = "a tenant's words";

describe("what an answer shows", () => {
  const gone = (reason: GoneReason): Evidence => ({ kind: "gone", reason });
  const cases: readonly (readonly [string, Evidence, boolean, boolean])[] = [
    ["an exit code", { kind: "exited", exitCode: 1, stdout: "", stderr: "" }, true, true],
    ["a stated failure", { kind: "failed", detail: "", stdout: "", stderr: "" }, true, true],
    ["a running command", { kind: "running", output: "none" }, true, true],
    ["a running sandbox without a command", { kind: "no-command", sandbox: "running" }, true, true],
    ["no command to ask for", { kind: "no-command", sandbox: "not-asked" }, false, false],
    ["no sandbox to ask for", gone("no-sandbox-id"), false, false],
    ["an agent server that forgot the command", gone("command-unknown"), true, true],
    ["an agent server that was restarted", gone("server-restarted"), true, true],
    ["a starting sandbox", { kind: "starting" }, true, false],
    ["a missing sandbox", gone("missing"), true, false],
    ["an unknown sandbox", gone("no-record"), true, false],
    ["a paused sandbox", gone("paused"), true, false],
    ["a run that is stated to be lost", { kind: "gone", reason: "lost", detail: "" }, true, false],
    ["a refusal", { kind: "unreachable", failure: failure() }, false, false],
    ["a riddle", { kind: "malformed", failure: failure() }, false, false],
    ["no question", { kind: "not-asked", reason: "" }, false, false],
  ];
  for (const [name, evidence, authoritative, life] of cases) {
    it(`${name}: ${authoritative ? "authoritative" : "cannot tell"}, ${life ? "life" : "no life"}`, () => {
      expect(isAuthoritative(evidence)).toBe(authoritative);
      expect(provesLife(evidence)).toBe(life);
    });
  }
});

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
      evidence: { kind: "gone", reason } as const,
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

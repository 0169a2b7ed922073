import { describe, expect, it } from "vitest";
import { humanHistory } from "../../../src/report/history/history.ts";
import type { JournaledVerdict } from "../../../src/rules/history/journal.ts";

const RUN = "80d24995-5170-4e0a-8e71-847beba6bbf4";

describe("humanHistory", () => {
  it("shows one line per verdict, by days in UTC", () => {
    const verdicts = [
      verdict({
        decidedAt: "2026-11-28T00:00:00.000Z",
        outcome: "COMPLETED",
        reason: "exit_code=0",
      }),
      verdict({ decidedAt: "2026-11-27T23:59:59.999Z" }),
      verdict({ decidedAt: "2026-11-27T01:02:03.004Z", basis: "presumption", reason: "starting" }),
    ];
    expect(humanHistory({ verdicts, more: true })).toBe(
      [
        "2026-11-28 (UTC)",
        "TIME     RUN                                  VERDICT   REASON",
        `00:00:00 ${RUN} completed exit_code=0`,
        "",
        "2026-11-27 (UTC)",
        "TIME     RUN                                  VERDICT   REASON",
        `23:59:59 ${RUN} failed    exit_code=1`,
        `01:02:03 ${RUN} presumed  starting`,
        "",
        "3 verdicts, 1 presumed, 0 overturned; there are older ones (--limit)",
        "",
      ].join("\n"),
    );
  });

  for (const chars of [24, 25]) {
    it(`${chars > 24 ? "cuts" : "keeps"} a reason of ${chars} characters to stay in 80 columns`, () => {
      const reason = "r".repeat(chars);
      const [, , line = ""] = humanHistory({ verdicts: [verdict({ reason })], more: false }).split(
        "\n",
      );
      expect(line.endsWith(chars > 24 ? "r…" : "r".repeat(24))).toBe(true);
      expect(line.length).toBe(80);
    });
  }

  it("breaks what a person wrote into lines, and obeys none of it", () => {
    const overrideReason = `a\u001b[31m ${"word ".repeat(40)}\n::error::x`;
    const text = humanHistory({ verdicts: [verdict({ overrideReason })], more: false });
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    expect(text.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    expect(text).not.toMatch(/^::/m);
  });

  it("says which sandbox could not be deleted, and why", () => {
    const cleanup = { state: "abandoned", attempts: 30, nextAt: null, error: "HTTP 503" };
    expect(humanHistory({ verdicts: [verdict({ cleanup })], more: false })).toContain(
      "\n         its sandbox could not be deleted: HTTP 503\n",
    );
  });
});

function verdict(changes: Partial<JournaledVerdict> = {}): JournaledVerdict {
  return {
    runId: RUN,
    automationId: null,
    decidedAt: "2026-11-28T18:12:01.123Z",
    outcome: "FAILED",
    basis: "proof",
    reason: "exit_code=1",
    evidence: {},
    epoch: 7,
    holder: "host-1/4711/ab12",
    trigger: "cron",
    overrideReason: null,
    suspicion: null,
    cleanup: { state: "none", attempts: 0, nextAt: null, error: null },
    overturned: false,
    overturnedAt: null,
    statusNow: "FAILED",
    ...changes,
  };
}

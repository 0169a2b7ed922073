import { describe, expect, it } from "vitest";
import { tellProblems } from "../../src/commands/told.ts";
import { parseProblems } from "../support/process/report-document.ts";

describe("tellProblems", () => {
  for (const { exitCode, status } of [
    { exitCode: 2, status: "unusable" },
    { exitCode: 3, status: "unknown-run" },
    { exitCode: 69, status: "unavailable" },
  ]) {
    it(`prints a document for a program when a command is refused with ${exitCode}`, () => {
      const { context, written } = stand();
      expect(tellProblems(context, "json", exitCode, ["a", "b"])).toBe(exitCode);
      expect(parseProblems(written.join(""))).toEqual({
        ...{ version: 1, status, exitCode, problems: ["a", "b"] },
      });
    });
  }

  it("prints no second document where the first may have been printed", () => {
    const { context, written } = stand();
    expect(tellProblems(context, "json", 1, ["unexpected error: a"])).toBe(1);
    expect(written).toEqual([]);
  });

  it("leaves people to what stderr says", () => {
    const { context, written, appended } = stand();
    expect(tellProblems(context, "human", 2, ["a"])).toBe(2);
    expect([...written, ...appended]).toEqual([]);
  });

  it("annotates every end for GitHub, with summary and outputs", () => {
    const { context, written, appended } = stand();
    expect(tellProblems(context, "github", 1, ["unexpected error: a"])).toBe(1);
    expect(written).toEqual(["::error title=run-watchdog::unexpected error: a\n"]);
    expect(appended).toEqual([
      "### run-watchdog: could not do its work (exit code 1)\n\n- `unexpected error: a`\n\n",
      "status=error\nexit-code=1\n",
    ]);
  });
});

function stand() {
  const written: string[] = [];
  const appended: string[] = [];
  const write = (text: string) => written.push(text) > 0;
  const context = {
    env: { GITHUB_STEP_SUMMARY: "/summary.md", GITHUB_OUTPUT: "/outputs" },
    appendFile: (_path: string, text: string) => void appended.push(text),
    // Nobody asks them for more than this.
    stdout: { write } as unknown as NodeJS.WriteStream,
    stderr: { write: () => true } as unknown as NodeJS.WriteStream,
  };
  return { context, written, appended };
}

import { describe, expect, it } from "vitest";
import { verdictTable } from "../../support/world/verdict-cases.ts";
import { completed, exited, killed } from "../../support/world/verdict-expected.ts";
import { createWorld, exitedWith, randomCommandId } from "../../support/world/world.ts";

const MIB = 1024 * 1024;
const KILLED = "command timed out or was killed";

verdictTable("a sweep that meets an exit code", [
  {
    name: "exit code 0 completes the run",
    output: { exitCode: 0, stdout: "done", stderr: "a warning" },
    expected: completed(),
  },
  {
    name: "exit code 0 completes a run whose last questions failed, and leaves its error text",
    run: { errorDetail: "left behind", statusDetail: { fingerprint: "x", count: 7 } },
    output: { exitCode: 0 },
    expected: { ...completed(), errorDetail: "left behind" },
  },
  {
    name: "exit code 0 counts past the hard deadline as well",
    run: { startedAgoMs: 86_400_000 },
    output: { exitCode: 0 },
    expected: completed(),
  },
  {
    name: "exit code -1 without stderr is a kill, in the words of a presumption",
    output: { exitCode: -1, stdout: "not shown" },
    expected: killed(KILLED),
  },
  {
    name: "exit code -1 with stderr is a kill with its tail",
    output: { exitCode: -1, stderr: "Traceback\nMemoryError" },
    expected: killed(`${KILLED}\nstderr: Traceback\nMemoryError`),
  },
  {
    name: "exit code -1 with more stderr than fits keeps the last 1000 characters",
    output: { exitCode: -1, stderr: `x${"e".repeat(1000)}` },
    expected: killed(`${KILLED}\nstderr: ${"e".repeat(1000)}`),
  },
  {
    name: "exit code 3 without output says no more than its number",
    output: { exitCode: 3, stdout: "", stderr: null },
    expected: exited(3, "exit_code=3"),
  },
  {
    name: "exit code 3 with output shows both tails, stderr first",
    output: { exitCode: 3, stdout: "step 2", stderr: "no such file" },
    expected: exited(3, "exit_code=3\nstderr: no such file\nstdout: step 2"),
  },
  {
    name: "exit code 3 with stdout alone shows stdout alone",
    output: { exitCode: 3, stdout: "step 2" },
    expected: exited(3, "exit_code=3\nstdout: step 2"),
  },
  {
    name: "exit code 137 is a failure like others",
    output: { exitCode: 137, stderr: "Killed" },
    expected: exited(137, "exit_code=137\nstderr: Killed"),
  },
  {
    name: "exit code -9 is an execution error, not a kill by time",
    output: { exitCode: -9, stderr: "gone" },
    expected: exited(-9, "exit_code=-9\nstderr: gone"),
  },
  {
    name: "an output that speaks like a presumption is still a proof",
    output: { exitCode: 1, stderr: "Timed out: Sandbox not available" },
    expected: exited(1, "exit_code=1\nstderr: Timed out: Sandbox not available"),
  },
]);

verdictTable("a sweep that meets odd text", [
  {
    name: "exactly 1000 and 500 code points of emoji are shown in full",
    output: { exitCode: 1, stderr: "😀".repeat(1000), stdout: "🚀".repeat(500) },
    expected: exited(1, `exit_code=1\nstderr: ${"😀".repeat(1000)}\nstdout: ${"🚀".repeat(500)}`),
  },
  {
    name: "1001 and 501 code points of emoji lose their first one",
    output: { exitCode: 1, stderr: `a${"😀".repeat(1000)}`, stdout: `b${"🚀".repeat(500)}` },
    expected: exited(1, `exit_code=1\nstderr: ${"😀".repeat(1000)}\nstdout: ${"🚀".repeat(500)}`),
  },
  {
    name: "an emoji cut in two by the memory limit does not leave half of itself behind",
    output: { exitCode: 1, stderr: `😀${"\0".repeat(3998)}z` },
    expected: exited(1, "exit_code=1\nstderr: z"),
  },
  {
    name: "NUL is removed, other control characters stay",
    output: { exitCode: 1, stderr: "a\0b\u0001\tc\0", stdout: "\0\0" },
    expected: exited(1, "exit_code=1\nstderr: ab\u0001\tc"),
  },
  {
    name: "lone surrogates are removed, pairs stay",
    output: { exitCode: -1, stderr: "\udc00a\ud83d b\ud83d\ude00\ud800" },
    expected: killed(`${KILLED}\nstderr: a b😀`),
  },
  {
    name: "quotes, backslashes and line ends arrive as they are",
    output: { exitCode: 2, stderr: `"'; DROP TABLE automation_runs; --\\u0000\r\n\u2028` },
    expected: exited(2, `exit_code=2\nstderr: "'; DROP TABLE automation_runs; --\\u0000\r\n\u2028`),
  },
  {
    name: "the largest legal answer, two streams of 1 MiB with each character escaped, is read",
    output: { exitCode: 4, stderr: "\u0001".repeat(MIB), stdout: "\u0002".repeat(MIB) },
    expected: exited(
      4,
      `exit_code=4\nstderr: ${"\u0001".repeat(1000)}\nstdout: ${"\u0002".repeat(500)}`,
    ),
  },
]);

describe("the journal of a proof", () => {
  it("holds codes and sizes, and nothing that the command wrote", async () => {
    await using world = await createWorld();
    const bashCommandId = randomCommandId();
    const output = { ...exitedWith(3, { bashCommandId }), stdout: "s3cret", stderr: "pa55word" };
    await world.seed({ bashCommandId }, { outputs: [output] });
    await world.sweep();
    const { sql } = world.database;
    const [row] = await sql`SELECT v::text AS whole, evidence FROM watchdog.verdicts v`;
    expect(row?.["evidence"]).toEqual({
      kind: "exited",
      exit_code: 3,
      stdout_chars: 6,
      stderr_chars: 8,
    });
    expect(row?.["whole"]).not.toMatch(/s3cret|pa55word/);
  });
});

import { expect, it } from "vitest";
import type { BashOutput } from "../fake-host/model.ts";
import { createWorld, exitedWith, randomCommandId } from "../support/world/world.ts";

const ODD = "before\u0000middle\ud800after";
const CLEAN = "beforemiddleafter";
const CASES: readonly (readonly [exitCode: number, output: Partial<BashOutput>, error: string])[] =
  [
    [1, { stderr: ODD, stdout: ODD }, `exit_code=1\nstderr: ${CLEAN}\nstdout: ${CLEAN}`],
    [-1, { stderr: ODD }, `Timed out: command timed out or was killed\nstderr: ${CLEAN}`],
    [2, { stderr: "\u0000" }, "exit_code=2"],
  ];

it("a run whose output holds what Postgres cannot store ends at the first observation and is cleaned up", async () => {
  await using world = await createWorld();
  const ids = [];
  for (const [exitCode, output] of CASES) {
    const bashCommandId = randomCommandId();
    const outputs = [{ ...exitedWith(exitCode, { bashCommandId }), ...output }];
    ids.push((await world.seed({ bashCommandId }, { outputs })).id);
  }

  const report = await world.sweep();

  expect(report.counts).toMatchObject({ failed: CASES.length, errors: 0 });
  expect(report.cleanups).toMatchObject({ done: CASES.length });
  for (const [index, [, , error]] of CASES.entries()) {
    expect(await world.row(ids[index] ?? "")).toMatchObject({
      status: "FAILED",
      error_detail: error,
    });
  }
});

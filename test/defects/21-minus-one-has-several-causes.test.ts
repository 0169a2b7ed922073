import { expect, it } from "vitest";
import { completeRun } from "../fake-host/callback.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../support/world/world.ts";

it("exit code -1 claims no single cause and shows what the server said, other signals are told by number", async () => {
  await using world = await createWorld();
  const launch = await exited(world, -1, "Error executing command: no such file");
  const killed = await exited(world, -9, "");

  await world.sweep();

  const { sql } = world.database;
  expect((await world.row(launch)).error_detail).toBe(
    "Timed out: command timed out or was killed\nstderr: Error executing command: no such file",
  );
  expect((await world.row(killed)).error_detail).toBe("exit_code=-9");
  const reasons = await sql`SELECT reason, basis FROM watchdog.verdicts ORDER BY reason`;
  expect([...reasons]).toEqual([
    { reason: "exit_code=-1", basis: "proof" },
    { reason: "exit_code=-9", basis: "proof" },
  ]);
  // A success that is reported late may overturn what may have been a hang-up, and nothing else.
  const status = "COMPLETED";
  expect(await completeRun(sql, { runId: launch, status })).toMatchObject({ reconciled: true });
  expect(await completeRun(sql, { runId: killed, status })).toMatchObject({ code: 409 });
});

async function exited(world: World, exitCode: number, stderr: string): Promise<string> {
  const bashCommandId = randomCommandId();
  const outputs = [{ ...exitedWith(exitCode, { bashCommandId }), stderr }];
  return (await world.seed({ bashCommandId }, { outputs })).id;
}

import { expect, vi } from "vitest";
import type { World } from "./world.ts";

const WITHIN_MS = 90_000;

/** Settles when every one of these runs has ended; fails when one of them was judged more or less than once. */
export async function untilEachEndedOnce(world: World, runIds: readonly string[]): Promise<void> {
  const { sql } = world.database;
  await vi.waitFor(async () => {
    const rows = await sql`SELECT id FROM automation_runs WHERE status = 'RUNNING'`;
    expect(rows).toHaveLength(0);
  }, WITHIN_MS);
  const verdicts = await sql<{ readonly runId: string; readonly count: number }[]>`
    SELECT run_id AS "runId", count(*)::int AS count FROM watchdog.verdicts GROUP BY run_id`;
  const counts = Object.fromEntries(verdicts.map(({ runId, count }) => [runId, count]));
  expect(counts).toEqual(Object.fromEntries(runIds.map((id) => [id, 1])));
}

/** Runs whose commands have ended, so that the first answer ends them. */
export async function seedEnded(world: World, count: number): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const bashCommandId = index.toString(16).padStart(32, "0");
    const output = { commandId: bashCommandId, exitCode: index % 2 };
    ids.push((await world.seed({ bashCommandId }, { outputs: [output] })).id);
  }
  return ids;
}

/** Keeps questions about sandboxes waiting until they are let through. */
export function holdLookups(world: World) {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const remove = world.host.intercept(({ kind }) => (kind === "lookup" ? promise : undefined));
  return {
    asked: (count: number) => world.host.traffic.until("lookup", count),
    answer() {
      remove();
      resolve(undefined);
    },
  };
}

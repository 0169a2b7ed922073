/** Runs that are judged without any presumption, so that one sweep is enough. */
import { expect } from "vitest";
import type { SweepReport } from "../../../src/rules/report.ts";
import { json } from "../../fake-host/model.ts";
import type { RunSeed, SeededRun } from "../../fake-host/seed.ts";
import { exitedWith, randomCommandId, type World } from "./world.ts";

export interface ProvenRuns {
  /** Each run was judged as it should be, the verdicts stand in the journal once each, and sandboxes are gone. */
  expectSwept(report: SweepReport): Promise<void>;
}

export async function seedProvenRuns(world: World): Promise<ProvenRuns> {
  const { sql } = world.database;
  const completed = await seedExited(world, 0);
  const failed = await seedExited(world, 1);
  const alive = await world.seed();
  const unknown = await world.seed();
  world.host.intercept(({ kind, sandboxId }) =>
    kind === "lookup" && sandboxId === unknown.sandboxId ? json(500, { error: "no" }) : undefined,
  );
  return {
    async expectSwept(report) {
      expect(report).toMatchObject({
        // The one that got no answer waits for its next look.
        status: "partial",
        counts: { completed: 1, failed: 1, deferred: 1, undetermined: 1 },
        cleanups: { done: 2, pending: 0 },
      });
      const rows = await sql`
        SELECT id, status, timeout_at > now() AS deferred FROM automation_runs ORDER BY id`;
      const ended = { deferred: false };
      const running = { status: "RUNNING", deferred: true };
      const expected = [
        { id: completed.id, status: "COMPLETED", ...ended },
        { id: failed.id, status: "FAILED", ...ended },
        { id: alive.id, ...running },
        { id: unknown.id, ...running },
      ];
      expect([...rows]).toEqual(expected.sort((a, b) => (a.id < b.id ? -1 : 1)));
      const verdicts = await sql`SELECT run_id FROM watchdog.verdicts`;
      const ids = verdicts.map((row) => row["run_id"]);
      expect(ids.sort()).toEqual([completed.id, failed.id].sort());
    },
  };
}

/** A run whose command has ended: a proof. */
export function seedExited(world: World, exitCode: number, run: RunSeed = {}): Promise<SeededRun> {
  const bashCommandId = randomCommandId();
  return world.seed(
    { bashCommandId, ...run },
    { outputs: [exitedWith(exitCode, { bashCommandId })] },
  );
}

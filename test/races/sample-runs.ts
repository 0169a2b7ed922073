/** One stale run for each thing a sweep can do to a run, and what the database says about them. */
import type { SweepReport } from "../../src/rules/report.ts";
import { json } from "../fake-host/model.ts";
import type { SeededRun } from "../fake-host/seed.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import type { World } from "../support/world/world.ts";

export type ExpectedOutcome = "completed" | "failed" | "presumed" | "deferred" | "undetermined";

export interface SampleRuns {
  readonly runs: readonly SeededRun[];
  readonly byOutcome: Readonly<Record<ExpectedOutcome, SeededRun>>;
  get(runId: string): SeededRun;
}

/** What a sweep that nobody disturbs says about the sample. */
export const UNDISTURBED = {
  completed: "completed",
  failed: "failed",
  presumed: "failed",
  deferred: "deferred",
  undetermined: "undetermined",
} as const;

/** @param shard of four: all of them are in it. */
export async function seedSampleRuns(world: World, shard?: number): Promise<SampleRuns> {
  const seed = async () => (shard === undefined ? {} : { id: await world.idIn(shard) });
  const byOutcome = {
    completed: await seedExited(world, 0, await seed()),
    failed: await seedExited(world, 1, await seed()),
    presumed: await world.seed(await seed(), { status: "PAUSED" }),
    deferred: await world.seed(await seed()),
    undetermined: await world.seed(await seed()),
  };
  world.host.intercept(({ kind, sandboxId }) =>
    kind === "lookup" && sandboxId === byOutcome.undetermined.sandboxId
      ? json(500, { error: "no" })
      : undefined,
  );
  const runs = Object.values(byOutcome);
  return {
    runs,
    byOutcome,
    get(runId) {
      const run = runs.find(({ id }) => id === runId);
      if (run === undefined) throw new Error(`the sample has no run ${runId}`);
      return run;
    },
  };
}

/** What the report says about each run of the sample. */
export function actionsOf(
  report: SweepReport,
  sample: SampleRuns,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(sample.byOutcome).map(([outcome, { id }]) => [
      outcome,
      report.runs.find(({ runId }) => runId === id)?.action ?? "not mentioned",
    ]),
  );
}

/** Everything in the row, as text with all its digits. */
export async function wholeRow({ database }: World, runId: string): Promise<unknown> {
  const [row] = await database.sql`
    SELECT to_jsonb(r) AS whole FROM automation_runs r WHERE id = ${runId}`;
  return row?.["whole"];
}

export interface JournalRow {
  readonly run_id: string;
  readonly shard: number;
  readonly epoch: number;
  readonly outcome: string;
  readonly basis: string;
  readonly cleanup_state: string;
}

export async function journal({ database }: Pick<World, "database">): Promise<JournalRow[]> {
  return [
    ...(await database.sql<JournalRow[]>`
      SELECT run_id, shard, epoch::int, outcome, basis, cleanup_state FROM watchdog.verdicts ORDER BY id`),
  ];
}

/** The sandboxes that somebody asked the host to delete, in the order of asking. */
export function deleted({ host }: Pick<World, "host">): readonly (string | null)[] {
  return host.requests.flatMap(({ kind, sandboxId }) => (kind === "delete" ? [sandboxId] : []));
}

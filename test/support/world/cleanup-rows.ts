/** What the journal holds about clean-ups, and how a test moves them in time. */
import { expect } from "vitest";
import type { World } from "./world.ts";

export interface CleanupRow {
  readonly state: string;
  readonly attempts: number;
  readonly error: string | null;
  /** Milliseconds from now to the next attempt; `null` for never. */
  readonly nextInMs: number | null;
  /** Milliseconds from the verdict to the next attempt. */
  readonly nextAfterVerdictMs: number | null;
}

export async function cleanupOf({ database: { sql } }: World, runId: string): Promise<CleanupRow> {
  const [row] = await sql<CleanupRow[]>`
    SELECT cleanup_state AS state, cleanup_attempts AS attempts, cleanup_error AS error,
      (extract(epoch FROM cleanup_next_at - now()) * 1000)::float8 AS "nextInMs",
      (extract(epoch FROM cleanup_next_at - decided_at) * 1000)::float8 AS "nextAfterVerdictMs"
    FROM watchdog.verdicts WHERE run_id = ${runId}`;
  if (row === undefined) throw new Error(`the journal has nothing about ${runId}`);
  return row;
}

/** Lets the next attempt be due in so many milliseconds; 0: now. */
export async function setDueIn({ database: { sql } }: World, runId: string, ms = 0): Promise<void> {
  await sql`
    UPDATE watchdog.verdicts SET cleanup_next_at = now() + ${ms}::float8 * interval '1 millisecond'
    WHERE run_id = ${runId}`;
}

/** The sandboxes whose deletion was asked for, in order. */
export function deletions(world: World): readonly (string | null)[] {
  return asked(world, "delete");
}

/** The sandboxes that were to be paused, in order. */
export function pauses(world: World): readonly (string | null)[] {
  return asked(world, "pause");
}

function asked({ host }: World, wanted: "delete" | "pause"): readonly (string | null)[] {
  return host.requests.filter(({ kind }) => kind === wanted).map(({ sandboxId }) => sandboxId);
}

/** How far ahead the host's stamp on a run was when it was set: only bounds are known, and both hold on a slow machine. */
export interface Stamp {
  /** From now: it was set earlier. */
  readonly atLeastS: number;
  /** From when the run's automation was made: it was set later. */
  readonly atMostS: number;
}

/** @returns `null` when there is none. */
export async function stampOf({ database: { sql } }: World, runId: string): Promise<Stamp | null> {
  const [row] = await sql<Stamp[]>`
    SELECT extract(epoch FROM r.sandbox_cleanup_due_at - clock_timestamp())::float8 AS "atLeastS",
           extract(epoch FROM r.sandbox_cleanup_due_at - a.created_at)::float8 AS "atMostS"
    FROM automation_runs r JOIN automations a ON a.id = r.automation_id
    WHERE r.id = ${runId} AND r.sandbox_cleanup_due_at IS NOT NULL`;
  return row ?? null;
}

export function expectSetFor(stamp: Stamp | null, seconds: number): void {
  expect(stamp).not.toBeNull();
  expect(stamp?.atLeastS).toBeLessThanOrEqual(seconds);
  expect(stamp?.atMostS).toBeGreaterThanOrEqual(seconds);
}

/** Lets so much time go by for everything that waits for a clean-up. */
export async function passForCleanups(
  { database: { sql } }: World,
  seconds: number,
): Promise<void> {
  const less = sql`${seconds}::float8 * interval '1 second'`;
  await sql`
    UPDATE watchdog.verdicts SET decided_at = decided_at - ${less},
      cleanup_next_at = cleanup_next_at - ${less}, cleanup_due_at = cleanup_due_at - ${less},
      cleanup_stamp_at = cleanup_stamp_at - ${less}`;
  await sql`
    UPDATE automation_runs SET sandbox_cleanup_due_at = sandbox_cleanup_due_at - ${less}`;
}

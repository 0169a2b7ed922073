/** An automation's `preset_metadata`, as the text that is stored. */
import type { World } from "./world.ts";

/** With a time of the last change that any other is different from. */
export async function setPreset(
  { database: { sql } }: World,
  automationId: string,
  text: string | null,
): Promise<void> {
  await sql`
    UPDATE automations
    SET preset_metadata = ${text}::text::json, updated_at = '2026-01-01 00:00:00+00'
    WHERE id = ${automationId}`;
}

export interface Preset {
  readonly text: string | null;
  /** Whether the row was changed after `setPreset`. */
  readonly touched: boolean;
}

export async function presetOf(
  { database: { sql } }: World,
  automationId: string,
): Promise<Preset> {
  const [row] = await sql<Preset[]>`
    SELECT preset_metadata::text AS text, updated_at <> '2026-01-01 00:00:00+00' AS touched
    FROM automations WHERE id = ${automationId}`;
  if (row === undefined) throw new Error(`there is no automation ${automationId}`);
  return row;
}

/** What the journal still has to record. */
export async function firstRunStates({ database: { sql } }: World): Promise<readonly string[]> {
  const rows = await sql<{ state: string }[]>`
    SELECT first_run_state AS state FROM watchdog.verdicts ORDER BY id`;
  return rows.map(({ state }) => state);
}

/** Every mark in the text, without its time, and whether that time is written as the host writes it. */
export function withoutTime(text: string | null): string | null {
  const time = /"recorded_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00"/g;
  return text?.replace(time, '"recorded_at":"<time>"') ?? null;
}

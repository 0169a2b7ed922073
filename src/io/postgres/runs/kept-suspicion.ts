/** What becomes of a row of watchdog.suspicions, `s`, when another one about its run is inserted. */

/** Both are about the same attempt, sandbox and command. */
export const IS_SAME = `(s.sandbox_id IS NOT DISTINCT FROM excluded.sandbox_id
  AND s.bash_command_id IS NOT DISTINCT FROM excluded.bash_command_id
  AND s.began_at IS NOT DISTINCT FROM excluded.began_at)`;

/**
 * For a note on one thing, which sets the columns that it names itself: everything else that is known stays, unless it
 * was about another attempt, sandbox or command.
 */
export const KEPT = `sandbox_id = excluded.sandbox_id,
  bash_command_id = excluded.bash_command_id,
  began_at = excluded.began_at,
  noted_at = excluded.noted_at,
  ${kept("first_deadline_at", "presumed_times", "presumed_reason", "presumed_last_at")},
  ${kept("unknown_times", "unknown_since", "held_since")}`;

export function kept(...columns: readonly string[]): string {
  const stays = (column: string) =>
    `${column} = CASE WHEN ${IS_SAME} THEN s.${column} ELSE excluded.${column} END`;
  return columns.map(stays).join(",\n  ");
}

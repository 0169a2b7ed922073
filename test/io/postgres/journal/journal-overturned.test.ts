import { describe, expect, it } from "vitest";
import { postgresJournalStand } from "../../../support/stands/postgres-journal-stand.ts";

const DAY_MS = 86_400_000;

describe("PostgresJournal.markOverturned", () => {
  for (const completedAt of ["infinity", "-infinity", null]) {
    it(`notes a run that the host says has ended at ${completedAt}, and tells of no time`, async () => {
      await using stand = await postgresJournalStand();
      const runId = await stand.verdict({ basis: "presumption", cleanupState: "none" });
      await stand.sql`
        UPDATE automation_runs
        SET status = 'COMPLETED', error_detail = NULL,
          completed_at = ${completedAt}::text::timestamptz
        WHERE id = ${runId}`;
      const told = await stand.journal.markOverturned(DAY_MS, 10, stand.fence);
      expect(told).toMatchObject([{ runId, statusNow: "COMPLETED", laterMs: null }]);
    });
  }
});

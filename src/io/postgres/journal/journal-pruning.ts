import { and, inArray, lt, ne, sql } from "drizzle-orm";
import type { Db } from "../connection/session.ts";
import { BASES, verdicts } from "../schema.ts";
import { ourEpoch } from "../sql.ts";

/** @param limit keeps the statement short; the rest is removed by the next one. */
export function pruneStatement(db: Db, olderThanMs: number, limit: number, epoch: number) {
  // A CTE with a locking clause is run once; as a subquery it might be run again for every row, each time for others.
  const old = db.$with("old").as(
    db
      .select({ id: verdicts.id })
      .from(verdicts)
      .where(
        and(
          // Every basis there is: the index over both columns then finds the old ones of each.
          inArray(verdicts.basis, BASES),
          lt(verdicts.decidedAt, sql`now() - ${olderThanMs}::float8 * interval '1 millisecond'`),
          ne(verdicts.cleanupState, "pending"),
          ne(verdicts.firstRunState, "pending"),
          ourEpoch(epoch),
        ),
      )
      .limit(limit)
      .for("update", { skipLocked: true }),
  );
  return db
    .with(old)
    .delete(verdicts)
    .where(inArray(verdicts.id, db.select({ id: old.id }).from(old)))
    .returning({ id: verdicts.id });
}

import { PRESUMED_DEAD } from "../sql.ts";

/** Conditions on a `run` that has ended, which several statements share. */

export const HAS_ENDED = "run.status IN ('COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED')";

/** As a presumption of ours leaves it: nobody has changed its end since. */
export const IS_PRESUMED_DEAD = `run.status = 'FAILED' AND run.error_detail LIKE ${PRESUMED_DEAD}`;

import { inArray, type SQL, sql } from "drizzle-orm";
import { automations, type HostColumns, automationRuns as runs } from "../host-tables.ts";

/** Conditions on runs that have ended, and on their automations, which several statements share. */

/** A run as a presumption of ours leaves it: nobody has changed its end since. */
export function presumedDead(): SQL {
  return sql`${runs.status} = 'FAILED' AND ${runs.errorDetail} LIKE 'Timed out: %'`;
}

export function hasEnded(): SQL {
  return inArray(runs.status, ["COMPLETED", "FAILED", "CANCELLED", "SKIPPED"]);
}

/** Whether the automation leaves its sandboxes to the host's own reaper. */
export function isKept(host: HostColumns): SQL {
  return host.keepAlive ? sql`${automations.keepAlive} IS TRUE` : sql`false`;
}

import { describe } from "vitest";
import { describePauses, describeWorkers } from "../../../conformance/fleet.ts";
import { leaders } from "../../../support/stands/leaders.ts";
import { postgresStoreStand } from "../../../support/stands/postgres-store-stand.ts";

for (const { shard, as } of leaders({ index: 2, count: 4 })) {
  const open = () => postgresStoreStand(shard);
  describe(`a pause in Postgres${as}`, () => describePauses(open));
}

/** What only the leader of the first shard does. */
for (const { shard, as } of leaders({ index: 0, count: 4 })) {
  const open = () => postgresStoreStand(shard);
  describe(`the list of workers in Postgres${as}`, () => describeWorkers(open));
}

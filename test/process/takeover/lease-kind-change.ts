/** A fleet's way from one kind of lease to the other: with REDIS_URL or without it. */
import type { ProcessEnv } from "../../support/process/worker-process.ts";

export interface LeaseKindChange {
  readonly name: string;
  readonly from: "redis" | "postgres";
  /** The environments of the workers before the change and after it. */
  envs(
    common: ProcessEnv,
    redis: { readonly url: string },
  ): { readonly before: ProcessEnv; readonly after: ProcessEnv };
}

export const LEASE_KIND_CHANGES: readonly LeaseKindChange[] = [
  {
    name: "from the Redis lease to the Postgres lease",
    from: "redis",
    envs: (common, { url }) => ({ before: { ...common, REDIS_URL: url }, after: common }),
  },
  {
    name: "from the Postgres lease to the Redis lease",
    from: "postgres",
    envs: (common, { url }) => ({ before: common, after: { ...common, REDIS_URL: url } }),
  },
];

/** Many sweeps at once on a busy machine leave less time for each lease. */
const PATIENT_LEASE = { WATCHDOG_LEASE_TTL: "10s", WATCHDOG_LEASE_RENEW: "1s" };

/** The same for the number of shards, which is noted with the kind of lease. */
export const FLEET_CHANGES: readonly Omit<LeaseKindChange, "from">[] = [
  ...LEASE_KIND_CHANGES,
  {
    name: "from one shard to four",
    envs: (common) => {
      const before = { ...common, ...PATIENT_LEASE };
      return { before, after: { ...before, WATCHDOG_SHARDS: "4" } };
    },
  },
  {
    name: "from four shards to two, and to the Redis lease",
    envs: (common, { url }) => {
      const both = { ...common, ...PATIENT_LEASE };
      const before = { ...both, WATCHDOG_SHARDS: "4" };
      return { before, after: { ...both, WATCHDOG_SHARDS: "2", REDIS_URL: url } };
    },
  },
  {
    name: "from four shards to one, on the Redis lease",
    envs: (common, { url }) => {
      const after = { ...common, ...PATIENT_LEASE, REDIS_URL: url };
      return { before: { ...after, WATCHDOG_SHARDS: "4" }, after };
    },
  },
];

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

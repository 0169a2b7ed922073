import type { ClockReading } from "../clock-skew.ts";
import { type Check, type Fact, failure, ok, skipped, span, warning } from "./check.ts";
import { checkClock } from "./clock.ts";

export type RedisFacts =
  /** The lease could not be taken and given back; `why` ends with what to do, where that is known. */
  | { readonly kind: "unusable"; readonly why: string }
  | {
      readonly kind: "usable";
      /** `null`: it is not known whose lease to look at. */
      readonly key: Fact<RedisKey> | null;
      readonly clock: Fact<ClockReading>;
      readonly server: Fact<RedisServerFacts>;
    };

export interface RedisKey {
  readonly key: string;
  /** Of one command on an open connection. */
  readonly latencyMs: number;
  readonly isHeld: boolean;
  readonly neverExpires: boolean;
}

export interface RedisServerFacts {
  readonly version: string;
  readonly role: string;
  readonly maxMemoryBytes: number | null;
  readonly evictionPolicy: string | null;
}

export const REDIS = "redis";
const REST = ["lease key", "redis eviction", "redis clock"] as const;
const SEE_ADDRESS =
  "the lease needs a Redis that REDIS_URL leads to; without REDIS_URL it is kept in Postgres";
const MAY_ASK = "nothing for the lease; to have it checked: ACL SETUSER <user> +info +time";

/**
 * @param renewMs within which a renewal has to succeed.
 * @param broken the link for want of which it is not known whose lease to look at; `null` where all of them hold.
 */
export function checkRedis(
  facts: RedisFacts,
  renewMs: number,
  broken: string | null,
): readonly Check[] {
  if (facts.kind === "unusable")
    return [failure(REDIS, facts.why, SEE_ADDRESS), ...skipped(REDIS, ...REST)];
  const { key, clock, server } = facts;
  return [
    checkRole(server),
    ...(key === null ? unknownKey(broken) : [checkKey(key, renewMs)]),
    ifAsked("redis eviction", server, checkEviction),
    ifAsked("redis clock", clock, (reading) => checkClock("redis clock", "Redis", reading)),
  ];
}

function checkRole(server: Fact<RedisServerFacts>): Check {
  const can = "the lease was taken, renewed and given back";
  if (server.kind === "unknown") return ok(REDIS, `${can}; its user may do all that is needed`);
  const { version, role } = server.value;
  if (role === "master") return ok(REDIS, `version ${version}, ${role}: ${can}`);
  return warning(
    REDIS,
    `${can}, but the server calls itself ${role}: a lease written there may be lost`,
    "let REDIS_URL lead to the master, also after a failover",
  );
}

const KEY = "lease key";

function unknownKey(broken: string | null): readonly Check[] {
  if (broken !== null) return skipped(broken, KEY);
  return [warning(KEY, "not looked at: whose lease it is stands in the worker's own tables")];
}

function checkKey(fact: Fact<RedisKey>, renewMs: number): Check {
  const link = KEY;
  if (fact.kind === "unknown") return warning(link, `could not be looked at: ${fact.why}`);
  const { key, latencyMs, isHeld, neverExpires } = fact.value;
  if (neverExpires) {
    const found = `${key} has no expiry: no worker can lead`;
    return failure(link, found, `DEL ${key}, and find out who has set it`);
  }
  const state = isHeld ? "held" : "free";
  if (latencyMs < renewMs / 2) return ok(link, `${state}; a command takes ${span(latencyMs)}`);
  return warning(
    link,
    `a command takes ${span(latencyMs)}, renewals are ${span(renewMs)} apart`,
    "use a Redis nearby, or raise WATCHDOG_LEASE_TTL and WATCHDOG_LEASE_RENEW",
  );
}

function checkEviction({ maxMemoryBytes, evictionPolicy }: RedisServerFacts): Check {
  const link = "redis eviction";
  if (evictionPolicy === null) return warning(link, "the server does not tell its policy");
  if (evictionPolicy === "noeviction") return ok(link, "maxmemory-policy noeviction");
  if (maxMemoryBytes === 0)
    return ok(link, `maxmemory-policy ${evictionPolicy}, without a maxmemory`);
  return warning(
    link,
    `maxmemory-policy ${evictionPolicy}: a lease that is evicted costs a sweep`,
    "set maxmemory-policy noeviction, or give the lease a Redis of its own",
  );
}

/** The lease does without these commands, and so may its user. */
function ifAsked<T>(link: string, fact: Fact<T>, check: (value: T) => Check): Check {
  if (fact.kind === "known") return check(fact.value);
  return warning(link, `could not be looked at: ${fact.why}`, MAY_ASK);
}

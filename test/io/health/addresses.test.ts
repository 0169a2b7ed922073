import { describe, expect, it } from "vitest";
import { withoutAddresses } from "../../../src/io/health/addresses.ts";

const KNOWN = ["postgres", "/run/postgresql/.s.PGSQL.5432", "db.internal"];

const cases: readonly (readonly [string, string])[] = [
  [
    "reading the schema: connecting to 127.0.0.1:5432 failed: ECONNREFUSED",
    "reading the schema: connecting to <address> failed: ECONNREFUSED",
  ],
  [
    "reading the schema: connecting to ::1:5432: no answer within 5000 ms",
    "reading the schema: connecting to <address>: no answer within 5000 ms",
  ],
  [
    "taking an epoch: connecting to /run/postgresql/.s.PGSQL.5432 failed: ENOENT",
    "taking an epoch: connecting to <address> failed: ENOENT",
  ],
  [
    "acquiring the lease at redis cache:6379 failed: connect ECONNREFUSED 10.0.0.7:6379",
    "acquiring the lease at redis <address> failed: connect ECONNREFUSED <address>",
  ],
  [
    "acquiring the lease at redis cache:6379 failed: getaddrinfo ENOTFOUND cache: check the host in REDIS_URL",
    "acquiring the lease at redis <address> failed: getaddrinfo ENOTFOUND <address>: check the host in REDIS_URL",
  ],
  [
    "the lease at redis [fd00::7]:6379 failed: no connection within 2000 ms",
    "the lease at redis <address> failed: no connection within 2000 ms",
  ],
  [
    "MOVED 3999 10.0.0.8:6381: for a Cluster unset REDIS_URL",
    "MOVED 3999 <address>: for a Cluster unset REDIS_URL",
  ],
  [
    'no pg_hba.conf entry for host "10.1.2.3", user "u", database "d" (SQLSTATE 28000)',
    'no pg_hba.conf entry for host "<address>", user "u", database "d" (SQLSTATE 28000)',
  ],
  [
    "Hostname/IP does not match certificate's altnames: Host: a.b. is not in the cert's altnames: DNS:c.d, DNS:e",
    "Hostname/IP does not match certificate's altnames: Host: <address>. is not in the cert's altnames: DNS:<address>, DNS:<address>",
  ],
  [
    "server said: cannot reach db.internal, or postgres.",
    "server said: cannot reach <address>, or <address>.",
  ],
];

const kept = [
  "the worker's tables are missing: run `run-watchdog migrate`",
  "table watchdog.verdicts is missing; automation_runs.timeout_at is missing",
  "cannot execute UPDATE in a read-only transaction (SQLSTATE 25006)",
  "WRONGPASS invalid username-password pair or user is disabled: check the user and the password in REDIS_URL",
  "at 2026-11-28T13:46:55.239Z by host-1/4711/ab12",
];

describe("withoutAddresses", () => {
  it.each(cases)("hides where a store is: %s", (text, expected) => {
    expect(withoutAddresses(text, KNOWN)).toBe(expected);
  });

  it.each(kept)("keeps what names none: %s", (text) => {
    expect(withoutAddresses(text, KNOWN)).toBe(text);
  });
});

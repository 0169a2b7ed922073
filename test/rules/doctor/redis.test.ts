import { describe, expect, it } from "vitest";
import { checkRedis, type RedisFacts } from "../../../src/rules/doctor/redis.ts";

type Usable = Extract<RedisFacts, { kind: "usable" }>;

const known = <T>(value: T) => ({ kind: "known", value }) as const;
const KEY = { key: "watchdog:{i}:lease", latencyMs: 1, isHeld: true, neverExpires: false };
const SERVER = {
  version: "7.2",
  role: "master",
  maxMemoryBytes: 1000,
  evictionPolicy: "noeviction",
};
const USABLE: Usable = {
  kind: "usable",
  key: known(KEY),
  clock: known({ theirMs: 5, sentMs: 0, receivedMs: 10, precisionMs: 1 }),
  server: known(SERVER),
};

function resultOf(link: string, change: Partial<Usable>, broken: string | null = null) {
  const check = checkRedis({ ...USABLE, ...change }, 5_000, broken).find(
    (each) => each.link === link,
  );
  if (check === undefined) throw new Error(`no check of ${link}`);
  return check;
}

describe("checkRedis", () => {
  it("finds a master without eviction good", () => {
    expect(checkRedis(USABLE, 5_000, null).map(({ result }) => result)).toEqual([
      "ok",
      "ok",
      "ok",
      "ok",
    ]);
  });

  it("skips the rest of a Redis that gives no lease", () => {
    const checks = checkRedis({ kind: "unusable", why: "refused" }, 5_000, null);
    expect(checks.map(({ result }) => result)).toEqual([
      "failure",
      "skipped",
      "skipped",
      "skipped",
    ]);
  });

  it("warns of a server that calls itself a replica", () => {
    const server = known({ ...SERVER, role: "slave" });
    expect(resultOf("redis", { server }).result).toBe("warning");
  });

  it("fails for a key that never expires, and says how to delete it", () => {
    const check = resultOf("lease key", { key: known({ ...KEY, neverExpires: true }) });
    expect(check).toMatchObject({
      result: "failure",
      remedies: ["DEL watchdog:{i}:lease, and find out who has set it"],
    });
  });

  it("warns when a command takes half the distance of renewals", () => {
    const slow = (latencyMs: number) => ({ key: known({ ...KEY, latencyMs }) });
    expect(resultOf("lease key", slow(2_499)).result).toBe("ok");
    expect(resultOf("lease key", slow(2_500)).result).toBe("warning");
  });

  it("warns when it is not known whose lease to look at", () => {
    expect(resultOf("lease key", { key: null }).result).toBe("warning");
  });

  it("skips the key when the link that tells whose it is is broken", () => {
    expect(resultOf("lease key", { key: null }, "own tables")).toMatchObject({
      result: "skipped",
      found: 'needs "own tables"',
    });
  });

  const policies: readonly (readonly [string | null, number | null, string])[] = [
    ["noeviction", 1000, "ok"],
    ["allkeys-lru", 1000, "warning"],
    ["volatile-ttl", 1000, "warning"],
    ["allkeys-lru", 0, "ok"],
    ["allkeys-lru", null, "warning"],
    [null, null, "warning"],
  ];
  it.each(policies)("judges maxmemory-policy %s with a maxmemory of %s as %s", (...row) => {
    const [evictionPolicy, maxMemoryBytes, result] = row;
    const server = known({ ...SERVER, evictionPolicy, maxMemoryBytes });
    expect(resultOf("redis eviction", { server }).result).toBe(result);
  });
});

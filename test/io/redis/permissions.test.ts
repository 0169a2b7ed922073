import type { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { startRedis } from "../../services/redis/redis.ts";
import { connectionsOf, expectUnavailable, setup, TTL_MS } from "./stand.ts";

const USER = "watchdog";
const PASSWORD = "for-the-lease-alone";
const NEEDED = ["set", "get", "pttl", "pexpire", "eval"] as const;
const REMEDY = "allow what the lease needs: ACL SETUSER watchdog ~watchdog:*";

describe("RedisLease for a user with the smallest set of permissions", () => {
  it("does everything", async () => {
    await using server = await startRedis();
    const { raw, as } = stand(server.url);
    await allow(raw, NEEDED);
    const { lease, installation, key } = as();
    await lease.ping();
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
    expect(await lease.acquire(installation, "w2/t", TTL_MS)).toMatchObject({ value: "w1/t" });
    expect(await lease.renew(installation, "w1/t", TTL_MS)).toBe(true);
    expect(await lease.release(installation, "w1/t")).toBe(true);
    expect(await raw.exists(key)).toBe(0);
    // Its name in CLIENT LIST is all it goes without.
    expect(await connectionsOf(raw)).toEqual([]);
  });

  it("does everything in a database other than 0 with SELECT besides", async () => {
    await using server = await startRedis();
    const { raw, as } = stand(server.url);
    await allow(raw, [...NEEDED, "select"]);
    const { lease, installation, key } = as({ database: 3 });
    await lease.ping();
    await lease.acquire(installation, "w1/t", TTL_MS);
    await raw.select(3);
    expect(await raw.get(key)).toBe("w1/t");
  });
});

describe("RedisLease for a user who lacks a permission", () => {
  it.each(NEEDED)("finds in a ping that %s is missing, and names it", async (command) => {
    await using server = await startRedis();
    const { raw, as } = stand(server.url);
    await allow(raw, without(command));
    await expectRefused(as().lease.ping(), command);
  });

  const toHold = NEEDED.filter((command) => command !== "pttl");
  it.each(toHold)("does not hold the lease without %s, and names it", async (command) => {
    await using server = await startRedis();
    const { raw, as } = stand(server.url);
    await allow(raw, without(command));
    const { lease, installation } = as();
    await expectRefused(lease.acquire(installation, "w1/t", TTL_MS), command);
  });

  it("names pttl when it has to read who holds the lease", async () => {
    await using server = await startRedis();
    const { raw, as } = stand(server.url);
    await allow(raw, without("pttl"));
    const { lease, installation } = as();
    await lease.acquire(installation, "w1/t", TTL_MS);
    await expectRefused(lease.acquire(installation, "w2/t", TTL_MS), "pttl");
  });

  it("names SELECT for a database other than 0", async () => {
    await using server = await startRedis();
    const { raw, as } = stand(server.url);
    await allow(raw, NEEDED);
    const { lease } = as({ database: 3 });
    const { message } = await expectUnavailable(lease.ping(), /NOPERM .*'select'/);
    expect(message).toMatch(/ \+select$/);
  });

  it.each([
    { name: "other keys", keys: ["resetkeys", "~other:*"] },
    { name: "reading alone", keys: ["resetkeys", "%R~watchdog:*"] },
  ])("names the keys when it is allowed $name", async ({ keys }) => {
    await using server = await startRedis();
    const { raw, as } = stand(server.url);
    await allow(raw, NEEDED);
    await raw.call("ACL", "SETUSER", USER, ...keys);
    const { message } = await expectUnavailable(as().lease.ping(), /NOPERM .* keys/);
    expect(message).toContain(REMEDY);
  });

  it("works on the same connection's next call once it is allowed", async () => {
    await using server = await startRedis();
    const { raw, as } = stand(server.url);
    await allow(raw, []);
    const { lease, installation } = as();
    await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /NOPERM/);
    await allow(raw, NEEDED);
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
  });
});

function stand(url: string) {
  const { raw } = setup(url);
  return { raw, as: (changes = {}) => setup(url, { user: USER, password: PASSWORD, ...changes }) };
}

function without(command: string): readonly string[] {
  return NEEDED.filter((name) => name !== command);
}

async function expectRefused(call: Promise<unknown>, command: string): Promise<void> {
  const { message } = await expectUnavailable(call, /NOPERM|can't run this command/);
  expect(message).toContain(`${REMEDY} `);
  expect(message).toMatch(new RegExp(` \\+${command}( |$)`));
}

/** These commands and no others, on the lease's keys. */
async function allow(raw: Redis, commands: readonly string[]): Promise<void> {
  const rules = commands.map((command) => `+${command}`);
  const from = ["reset", "on", `>${PASSWORD}`, "~watchdog:*", "-@all"];
  await raw.call("ACL", "SETUSER", USER, ...from, ...rules);
}

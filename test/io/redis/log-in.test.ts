import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { startRedis } from "../../services/redis/redis.ts";
import { HANG_UP, likeRedis, RESET, ScriptedRedis } from "../../services/redis/scripted-redis.ts";
import { connectionsOf, expectUnavailable, IMPATIENT, setup, TTL_MS } from "./stand.ts";

const NOBODY_SEES = "hunter2";

function hangsUpOnNames(command: string) {
  return command.startsWith("client ") ? HANG_UP : likeRedis(command);
}

describe("RedisLease logging in", () => {
  it("takes one step after the other, and its name is the last", async () => {
    await using redis = await ScriptedRedis.start(likeRedis);
    const { lease, installation } = setup(redis.url, { user: "me", password: "pw", database: 3 });
    await lease.release(installation, "w1/t");
    expect(redis.commands.slice(0, 3)).toEqual([
      "auth me pw",
      "select 3",
      "client setname run-watchdog",
    ]);
  });

  it("sends nothing behind a step that has no answer yet", async () => {
    await using redis = await ScriptedRedis.start(() => null);
    const options = { ...IMPATIENT, password: "pw", database: 3 };
    const { lease, installation } = setup(redis.url, options);
    await expectUnavailable(lease.release(installation, "w1/t"), /no connection within/);
    expect(redis.commands).toEqual(["auth pw"]);
  });

  it("logs a user without a password in with an empty one", async () => {
    await using redis = await ScriptedRedis.start(likeRedis);
    const { lease, installation } = setup(redis.url, { user: "guest" });
    await lease.release(installation, "w1/t");
    expect(redis.commands[0]).toBe("auth guest ");
  });

  it("is let in as a user that needs no password", async () => {
    await using server = await startRedis();
    const { raw } = setup(server.url);
    await raw.call("ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all");
    const { lease, installation } = setup(server.url, { user: "guest" });
    await lease.acquire(installation, "w1/t", TTL_MS);
    expect(await raw.client("LIST")).toContain(" user=guest ");
  });

  it("does not mind a server that asks for no password", async () => {
    await using server = await startRedis();
    const { lease, installation } = setup(server.url, { password: "any" });
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
  });

  it("does not mind a server that takes no names", async () => {
    await using redis = await ScriptedRedis.start((command) =>
      command.startsWith("client ") ? "-ERR unknown command 'client'" : likeRedis(command),
    );
    const { lease, installation } = setup(redis.url);
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
    expect(redis.connections).toBe(1);
  });

  it("goes without its name behind a proxy that hangs up on it, and stays so", async () => {
    await using redis = await ScriptedRedis.start(hangsUpOnNames);
    const { lease, installation } = setup(redis.url, { password: "pw" });
    await Promise.all([
      lease.renew(installation, "w1/t", TTL_MS),
      lease.renew(installation, "w1/t", TTL_MS),
    ]);
    expect(redis.connections).toBe(2);
    redis.hangUp();
    await expect.poll(() => redis.endings).toHaveLength(2);
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
    expect(redis.connections).toBe(3);
    expect(redis.commands.filter((command) => command.startsWith("client "))).toHaveLength(1);
    expect(redis.commands.filter((command) => command === "auth pw")).toHaveLength(3);
  });

  it("uses its name again when it was not the name that a server hung up on", async () => {
    let wellAgain = false;
    await using redis = await ScriptedRedis.start((command) =>
      wellAgain ? likeRedis(command) : HANG_UP,
    );
    const { lease, installation } = setup(redis.url);
    await expectUnavailable(lease.renew(installation, "w1/t", TTL_MS));
    expect(redis.connections).toBe(2);
    wellAgain = true;
    expect(await lease.renew(installation, "w1/t", TTL_MS)).toBe(true);
    expect(redis.commands.filter((command) => command.startsWith("client "))).toHaveLength(2);
  });

  it("doubts the scheme of a server that hangs up on whatever comes", async () => {
    await using redis = await ScriptedRedis.start(() => RESET);
    const { lease, installation } = setup(redis.url);
    await expectUnavailable(
      lease.renew(installation, "w1/t", TTL_MS),
      /if it answers others, a server with TLS needs rediss:\/\/ in REDIS_URL$/,
    );
  });

  it("logs in anew on the connection that follows a failure", async () => {
    await using server = await startRedis();
    const { raw, installation } = setup(server.url);
    await raw.call("ACL", "SETUSER", "me", "on", ">pw", "~*", "+@all");
    const { lease } = setup(server.url, { user: "me", password: "pw" });
    await lease.acquire(installation, "w1/t", TTL_MS);
    const before = await connectionsOf(raw);
    await raw.client("KILL", "USER", "me");
    await expect
      .poll(() => lease.renew(installation, "w1/t", TTL_MS).catch(() => "cut off"))
      .toBe(true);
    expect(await connectionsOf(raw)).not.toEqual(before);
  });

  it("shows no password when the server refuses it", async () => {
    await using server = await startRedis();
    const { raw, installation } = setup(server.url);
    await raw.config("SET", "requirepass", "right");
    const { lease } = setup(server.url, { password: NOBODY_SEES });
    const acquired = lease.acquire(installation, "w1/t", TTL_MS);
    const error = await expectUnavailable(acquired, /WRONGPASS/);
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(NOBODY_SEES);
  });

  it("shows no password when the server repeats it", async () => {
    await using redis = await ScriptedRedis.start((command) => `-ERR unknown: '${command}'`);
    const { lease, installation } = setup(redis.url, { password: NOBODY_SEES });
    const acquired = lease.acquire(installation, "w1/t", TTL_MS);
    const error = await expectUnavailable(acquired, /auth/);
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(NOBODY_SEES);
  });
});

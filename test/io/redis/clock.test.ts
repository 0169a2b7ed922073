import { type AddressInfo, connect, createServer } from "node:net";
import type { Redis } from "ioredis";
import { describe, expect, it, onTestFinished } from "vitest";
import { skewMs } from "../../../src/rules/clock-skew.ts";
import { startRedis } from "../../services/redis/redis.ts";
import { setup, TTL_MS } from "./stand.ts";

const LEASE_ALONE = ["+set", "+get", "+pttl", "+pexpire", "+eval"];

describe("RedisLease.clock", () => {
  it("tells the server's time", async () => {
    await using server = await startRedis();
    const reading = await setup(server.url).lease.clock();
    expect(reading).not.toBeNull();
    expect(reading && Math.abs(skewMs(reading))).toBeLessThan(1000);
  });

  it("tells nothing where TIME is not allowed, asks once, and leaves the lease its connection", async () => {
    await using server = await startRedis();
    const { raw } = setup(server.url);
    await raw.call("ACL", "SETUSER", "lease", "on", ">pw", "~watchdog:*", "-@all", ...LEASE_ALONE);
    const { lease, installation } = setup(server.url, { user: "lease", password: "pw" });
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
    const connected = await connectionsMade(raw);
    expect(await lease.clock()).toBeNull();
    expect(await lease.clock()).toBeNull();
    expect(await lease.renew(installation, "w1/t", TTL_MS)).toBe(true);
    expect(await lease.release(installation, "w1/t")).toBe(true);
    expect(await connectionsMade(raw)).toBe(connected);
    expect(await refusedTimes(raw)).toBe(1);
  });

  it("tells nothing behind a proxy that hangs up on TIME, and the lease's next call gets through", async () => {
    await using server = await startRedis();
    const { lease, installation } = setup(await hangsUpOnTime(Number(new URL(server.url).port)));
    await lease.ping();
    expect(await lease.clock()).toBeNull();
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
    expect(await lease.clock()).toBeNull();
    expect(await lease.renew(installation, "w1/t", TTL_MS)).toBe(true);
  });

  it("tells nothing when there is no server", async () => {
    expect(await setup("redis://127.0.0.1:1").lease.clock()).toBeNull();
  });
});

async function connectionsMade(raw: Redis): Promise<string | undefined> {
  return /total_connections_received:(\d+)/.exec(await raw.info("stats"))?.[1];
}

async function refusedTimes(raw: Redis): Promise<number> {
  const log = (await raw.call("ACL", "LOG")) as readonly (readonly unknown[])[];
  const ofTime = log.filter((entry) => entry.includes("time"));
  return ofTime.reduce((sum, entry) => sum + Number(entry[entry.indexOf("count") + 1]), 0);
}

/** @returns its URL. */
async function hangsUpOnTime(port: number): Promise<string> {
  const proxy = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    client.on("data", (piece) => {
      if (/\$4\r\ntime\r\n/i.test(piece.toString("latin1"))) client.destroy();
      else server.write(piece);
    });
    server.pipe(client);
    for (const end of [client, server]) end.on("error", () => {});
    client.on("close", () => server.destroy());
    server.on("close", () => client.destroy());
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  proxy.listen(0, "127.0.0.1", resolve);
  await promise;
  onTestFinished(() => void proxy.close());
  return `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

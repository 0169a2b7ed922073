import { Redis } from "ioredis";
import { describe, expect, it, onTestFinished } from "vitest";
import { createDatabase } from "../services/postgres/database.ts";
import { startRedis } from "../services/redis/redis.ts";
import { startTlsRedis } from "../services/redis/tls.ts";
import { doctorInProcess } from "./doctor-in-process.ts";

const ENV = {
  // Nobody listens at either: what they say is other tests' business.
  DATABASE_URL: "postgres://u:pw@127.0.0.1:1/x",
  AUTOMATION_OPENHANDS_API_BASE_URL: "http://127.0.0.1:1",
  AUTOMATION_SERVICE_KEY: "k",
};

function diagnose(url: string, extra: Readonly<Record<string, string>> = {}) {
  return doctorInProcess({ ...ENV, REDIS_URL: url, ...extra });
}

function rawClient(url: string): Redis {
  const raw = new Redis(url);
  raw.on("error", () => undefined);
  onTestFinished(() => raw.disconnect());
  return raw;
}

describe("doctor on Redis", () => {
  it("finds a server in order, and leaves no key behind", async () => {
    await using server = await startRedis();
    const { of } = await diagnose(server.url);
    expect(of("redis").result).toBe("ok");
    expect(of("redis eviction").result).toBe("ok");
    expect(of("redis clock").result).toBe("ok");
    await expect.poll(() => rawClient(server.url).dbsize()).toBe(0);
  });

  it("fails when nobody answers", async () => {
    const { of } = await diagnose("redis://127.0.0.1:1");
    expect(of("redis").result).toBe("failure");
    expect(of("redis").found).toContain("ECONNREFUSED");
    expect(of("redis clock")).toMatchObject({ result: "skipped", found: 'needs "redis"' });
  });

  it("fails for a wrong password without showing it", async () => {
    await using server = await startRedis(["--requirepass", "right"]);
    const url = server.url.replace("redis://", "redis://:not-this-one@");
    const { of, document } = await diagnose(url);
    expect(of("redis").found).toContain("check the user and the password in REDIS_URL");
    expect(JSON.stringify(document)).not.toContain("not-this-one");
  });

  it("accepts the smallest set of permissions, and says what it could not look at", async () => {
    await using server = await startRedis();
    await rawClient(server.url).call(
      ...("ACL SETUSER lease on >pw ~watchdog:* +set +get +pttl +pexpire +eval".split(" ") as [
        string,
      ]),
    );
    const { of, exitCode } = await diagnose(server.url.replace("redis://", "redis://lease:pw@"));
    expect(exitCode).toBe(1);
    expect(of("redis").result).toBe("ok");
    for (const link of ["redis eviction", "redis clock"]) {
      expect(of(link)).toMatchObject({
        result: "warning",
        found: expect.stringMatching(/could not be looked at: .*NOPERM/),
        remedies: [expect.stringContaining("+info +time")],
      });
    }
  });

  it.each(["set", "get", "pexpire", "eval"])("fails for a user without %s", async (command) => {
    await using server = await startRedis();
    const allowed = ["set", "get", "pttl", "pexpire", "eval"].filter((each) => each !== command);
    const words = [
      "SETUSER",
      "lease",
      "on",
      ">pw",
      "~watchdog:*",
      ...allowed.map((it) => `+${it}`),
    ];
    await rawClient(server.url).call("ACL", ...words);
    const { of } = await diagnose(server.url.replace("redis://", "redis://lease:pw@"));
    expect(of("redis").result).toBe("failure");
    expect(of("redis").found).toContain("ACL SETUSER lease");
  });

  it("warns of a policy that may evict the lease", async () => {
    const args = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    await using server = await startRedis(args);
    const { of } = await diagnose(server.url);
    expect(of("redis eviction")).toMatchObject({
      result: "warning",
      found: expect.stringContaining("allkeys-lru"),
    });
  });

  it("fails for a replica", async () => {
    await using master = await startRedis();
    await using replica = await startRedis(["--replicaof", master.host, String(master.port)]);
    const { of } = await diagnose(replica.url);
    expect(of("redis").result).toBe("failure");
    expect(of("redis").found).toContain("REDIS_URL has to lead to the master");
  });

  it("fails for a server with TLS that is asked without", async () => {
    await using redis = await startTlsRedis("server");
    const { of } = await diagnose(redis.url.replace("rediss:", "redis:"));
    expect(of("redis").result).toBe("failure");
  });

  it("fails for a lease without expiry, and says how to delete it", async () => {
    await using server = await startRedis();
    await using database = await createDatabase();
    const raw = rawClient(server.url);
    const [row] = await database.sql`SELECT installation FROM watchdog.leadership`;
    const key = `watchdog:{${row?.["installation"]}}:lease`;
    const env = { DATABASE_URL: database.url };
    expect((await diagnose(server.url, env)).of("lease key").found).toMatch(/^free;/);
    await raw.set(key, "somebody", "PX", 600_000);
    expect((await diagnose(server.url, env)).of("lease key").found).toMatch(/^held;/);
    await raw.set(key, "somebody");
    const { of } = await diagnose(server.url, env);
    expect(of("lease key").result).toBe("failure");
    expect(of("lease key").remedies).toEqual([`DEL ${key}, and find out who has set it`]);
  });
});

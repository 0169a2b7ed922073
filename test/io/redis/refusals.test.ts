/** What a real server refuses, and what the message makes of it. A ping tells the same as a sweep would find. */
import { inspect } from "node:util";
import type { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import type { RedisConnectionOptions } from "../../../src/io/redis/connection.ts";
import { startRedis } from "../../services/redis/redis.ts";
import { likeRedis, ScriptedRedis } from "../../services/redis/scripted-redis.ts";
import { expectUnavailable, setup, TTL_MS } from "./stand.ts";

interface Refusal {
  readonly name: string;
  readonly options?: Partial<RedisConnectionOptions>;
  readonly arrange: (raw: Redis) => Promise<unknown>;
  readonly mend: (raw: Redis) => Promise<unknown>;
  readonly says: RegExp;
}

const refusals: readonly Refusal[] = [
  {
    name: "no password where one is needed",
    arrange: (raw) => raw.config("SET", "requirepass", "right"),
    mend: (raw) => raw.config("SET", "requirepass", ""),
    says: /NOAUTH Authentication required: check the user and the password in REDIS_URL$/,
  },
  {
    name: "a wrong password",
    options: { password: "wrong" },
    arrange: (raw) => raw.config("SET", "requirepass", "right"),
    mend: (raw) => raw.config("SET", "requirepass", "wrong"),
    says: /WRONGPASS .*: check the user and the password in REDIS_URL$/,
  },
  {
    name: "a user that is off",
    options: { user: "somebody", password: "right" },
    arrange: (raw) => raw.call("ACL", "SETUSER", "somebody", ">right", "~*", "+@all", "off"),
    mend: (raw) => raw.call("ACL", "SETUSER", "somebody", "on"),
    says: /WRONGPASS .*: check the user and the password in REDIS_URL$/,
  },
  {
    name: "one client too many",
    arrange: (raw) => raw.config("SET", "maxclients", "1"),
    mend: (raw) => raw.config("SET", "maxclients", "10"),
    says: /ERR max number of clients reached: raise maxclients of Redis/,
  },
  {
    name: "one client too many that has a password and a database",
    options: { user: "default", password: "any", database: 3 },
    arrange: (raw) => raw.config("SET", "maxclients", "1"),
    mend: (raw) => raw.config("SET", "maxclients", "10"),
    says: /ERR max number of clients reached: raise maxclients of Redis/,
  },
  {
    name: "writes because it is a replica",
    arrange: (raw) => raw.replicaof("127.0.0.1", "1"),
    mend: (raw) => raw.replicaof("NO", "ONE"),
    says: /READONLY .*: REDIS_URL has to lead to the master, also after a failover$/,
  },
  {
    name: "writes because it has too few replicas",
    arrange: (raw) => raw.config("SET", "min-replicas-to-write", "1"),
    mend: (raw) => raw.config("SET", "min-replicas-to-write", "0"),
    says: /failed: NOREPLICAS Not enough good replicas to write$/,
  },
  {
    name: "writes because its memory is full",
    arrange: (raw) => raw.config("SET", "maxmemory", "1"),
    mend: (raw) => raw.config("SET", "maxmemory", "0"),
    says: /OOM .*: raise maxmemory of Redis, or free some$/,
  },
];

/** How Redis 7.0 begins; four remedies follow. It says so to everybody who is not on its own machine. */
const PROTECTED =
  "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so.";

describe("RedisLease on a server that refuses", () => {
  it.each(refusals)("$name says so, and works without it", async (refusal) => {
    const { options, arrange, mend, says } = refusal;
    await using server = await startRedis();
    const { raw, installation, key } = setup(server.url);
    await arrange(raw);
    const { lease } = setup(server.url, options);
    await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), says);
    await expectUnavailable(lease.ping(), says);
    await mend(raw);
    await lease.ping();
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
    await raw.select(options?.database ?? 0);
    expect(await raw.get(key)).toBe("w1/t");
  });

  const forGood = [
    {
      name: "a database it does not have",
      options: { database: 99 },
      server: [],
      says: /ERR DB index is out of range: check the number of the database at the end of REDIS_URL$/,
    },
    {
      name: "the key because it is one node of a Cluster",
      options: {},
      server: ["--cluster-enabled", "yes"],
      says: /CLUSTERDOWN .*: for a Cluster unset REDIS_URL, the lease is then kept in Postgres$/,
    },
  ];
  it.each(forGood)("$name says so", async ({ options, server: args, says }) => {
    await using server = await startRedis(args);
    const { lease, installation } = setup(server.url, options);
    await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), says);
    await expectUnavailable(lease.ping(), says);
  });

  const credentials = [
    { name: "nothing", options: {} },
    { name: "a password", options: { password: "any" } },
    { name: "a user and a database", options: { user: "me", password: "any", database: 3 } },
  ];
  it.each(credentials)("in protected mode says so to a client with $name", async ({ options }) => {
    await using redis = await ScriptedRedis.start(likeRedis, PROTECTED);
    const { lease, installation } = setup(redis.url, options);
    const says =
      /^acquiring the lease at redis [\d.:]+ failed: DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user: give Redis a password /;
    await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), says);
    await expectUnavailable(lease.ping(), /DENIED/);
    expect(redis.connections).toBe(2);
  });

  it("does not repeat the token of the lease when it quotes a command that it does not know", async () => {
    await using server = await startRedis(["--rename-command", "SET", ""]);
    const { lease, installation } = setup(server.url);
    const refused = await lease
      .acquire(installation, "w1/secret-token", TTL_MS)
      .catch((error: unknown) => error);
    expect(inspect(refused, { showHidden: true, depth: 9 })).toMatch(/unknown command 'SET'/i);
    expect(inspect(refused, { showHidden: true, depth: 9 })).not.toContain("secret-token");
  });

  it("does not go on with another database when its own is refused", async () => {
    await using server = await startRedis();
    const { raw, installation, key } = setup(server.url);
    const { lease } = setup(server.url, { database: 99 });
    await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS));
    expect(await raw.exists(key)).toBe(0);
  });

  it("names the host when there is none of that name", async () => {
    await using server = await startRedis();
    const { lease } = setup(server.url, { host: "nowhere.invalid", connectTimeoutMs: 20_000 });
    await expectUnavailable(lease.ping(), /nowhere\.invalid/);
  });
});

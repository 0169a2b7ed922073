import { describe, expect, it } from "vitest";
import type { RedisEndpoint } from "../../src/rules/network/endpoints.ts";
import { configWith, problemsWith } from "../support/process/config-env.ts";

const plain: RedisEndpoint = {
  host: "redis",
  port: 6379,
  tls: false,
  user: null,
  password: null,
  database: 0,
};

describe("REDIS_URL", () => {
  const good: readonly (readonly [string, RedisEndpoint])[] = [
    ["redis://redis", plain],
    ["redis://redis/", plain],
    ["redis://redis:6380/15", { ...plain, port: 6380, database: 15 }],
    ["rediss://redis", { ...plain, tls: true }],
    ["REDIS://:p%40w@redis/0", { ...plain, password: "p@w" }],
    [
      "redis://user:pw@[::1]:1/1",
      { ...plain, host: "::1", port: 1, user: "user", password: "pw", database: 1 },
    ],
  ];
  for (const [url, expected] of good) {
    it(`takes ${url}`, () => {
      const { config, warnings } = configWith({ REDIS_URL: url });
      expect(config.redis?.current).toEqual(expected);
      expect(warnings).toEqual([]);
    });
  }

  it("drops parameters with one warning each", () => {
    const { config, warnings } = configWith({ REDIS_URL: "redis://redis?ssl_cert_reqs=none&db=3" });
    expect(config.redis?.current).toEqual(plain);
    expect(warnings).toEqual([
      'REDIS_URL has the parameter "ssl_cert_reqs", it is ignored',
      'REDIS_URL has the parameter "db", it is ignored',
    ]);
  });

  const toPostgres = "unset REDIS_URL, the lease is then kept in Postgres";
  const refused = [
    { name: "Sentinel", url: "redis+sentinel://a:1,b:2/primary", says: toPostgres },
    { name: "Sentinel with a hyphen", url: "redis-sentinel://a", says: toPostgres },
    { name: "a cluster", url: "redis-cluster://a", says: toPostgres },
    { name: "two hosts", url: "redis://a,b", says: toPostgres },
    { name: "no host", url: "redis:///0", says: "must name one host" },
    { name: "two hosts with ports", url: "redis://a:1,b:2", says: "with one host" },
    { name: "a Unix socket", url: "unix:///run/redis.sock", says: "got a unix URL" },
    { name: "another store", url: "memcached://a", says: "got a URL of another kind" },
    { name: "host and port alone", url: "redis:6379", says: 'without "://"' },
    {
      name: "a database that is no number",
      url: "redis://redis/one",
      says: "the number of a database",
    },
    { name: "a longer path", url: "redis://redis/1/2", says: "the number of a database" },
    { name: "port 65536", url: "redis://redis:65536", says: "a port from 1 to 65535" },
    { name: "a slash in the password", url: "redis://:a/b@redis", says: "/ as %2F" },
  ];
  for (const { name, url, says } of refused) {
    it(`refuses ${name}`, () => {
      const [problem, ...others] = problemsWith({ REDIS_URL: url });
      expect(problem).toMatch(/^REDIS_URL must /);
      expect(problem).toContain(says);
      expect(others).toEqual([]);
    });
  }
});

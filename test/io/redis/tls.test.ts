import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AUTHORITY_FILE } from "../../services/certificates.ts";
import { startRedis } from "../../services/redis/redis.ts";
import { startTlsRedis } from "../../services/redis/tls.ts";
import { expectUnavailable, IMPATIENT, setup, TTL_MS } from "./stand.ts";

describe("RedisLease over TLS", () => {
  const ordinary = getCACertificates("default");

  // As NODE_EXTRA_CA_CERTS does for a process from its start.
  beforeAll(() => {
    setDefaultCACertificates([...ordinary, readFileSync(AUTHORITY_FILE, "utf8")]);
  });

  afterAll(() => setDefaultCACertificates(ordinary));

  it.each(["127.0.0.1", "localhost"])("works for %s, which the certificate names", async (host) => {
    await using redis = await startTlsRedis("server");
    const { lease, installation, key } = setup(redis.url, { host });
    const { raw } = setup(redis.plainUrl);
    await lease.ping();
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
    expect(await raw.get(key)).toBe("w1/t");
    expect(await lease.acquire(installation, "w2/t", TTL_MS)).toMatchObject({ value: "w1/t" });
    expect(await lease.renew(installation, "w1/t", TTL_MS)).toBe(true);
    expect(await lease.release(installation, "w1/t")).toBe(true);
  });

  it("connects anew after the server hung up", async () => {
    await using redis = await startTlsRedis("server");
    const { lease, installation } = setup(redis.url);
    const { raw } = setup(redis.plainUrl);
    await lease.acquire(installation, "w1/t", TTL_MS);
    await raw.call("CLIENT", "KILL", "TYPE", "normal");
    await expect
      .poll(() => lease.renew(installation, "w1/t", TTL_MS).catch(() => "cut off"))
      .toBe(true);
  });

  it("refuses a certificate for another name, and names the remedy", async () => {
    await using redis = await startTlsRedis("elsewhere");
    const { lease } = setup(redis.url, { host: "localhost" });
    await expectUnavailable(
      lease.ping(),
      /localhost.* not in the cert's altnames: DNS:elsewhere\.example: REDIS_URL has to use a name/,
    );
  });

  it("refuses a certificate that has expired, until it is renewed", async () => {
    await using redis = await startTlsRedis("expired");
    const { lease } = setup(redis.url);
    const expired = /certificate has expired: renew the server's certificate$/;
    await expectUnavailable(lease.ping(), expired);
    await redis.show("server");
    await lease.ping();
  });

  it("names the remedy when the server asks for a certificate", async () => {
    await using redis = await startTlsRedis("server");
    await redis.askForCertificates();
    await expectUnavailable(
      setup(redis.url).lease.ping(),
      /failed: tlsv1\.?3 alert certificate required: a server that asks its clients for certificates/,
    );
  });

  it("names the scheme when the server keeps silent because it speaks no TLS", async () => {
    await using server = await startRedis();
    const { lease } = setup(server.url, { ...IMPATIENT, tls: true });
    await expectUnavailable(lease.ping(), /: if it answers others, .* needs redis:\/\/ in REDIS_/);
  });

  it("names the scheme when the server answers something else than TLS", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await using _ = other;
    await expect.poll(() => other.listening).toBe(true);
    const address = other.address();
    const port = typeof address === "object" ? address?.port : 0;
    const { lease } = setup(`rediss://127.0.0.1:${port}`);
    await expectUnavailable(lease.ping(), /: a server without TLS needs redis:\/\/ in REDIS_URL$/);
  });

  it("names the scheme when it comes without TLS to a server that speaks nothing else", async () => {
    await using redis = await startTlsRedis("server");
    const { lease } = setup(redis.url, { tls: false });
    await expectUnavailable(lease.ping(), /: if it answers others, .* needs rediss:\/\/ in REDIS_/);
  });

  it("says nothing of schemes when a server that spoke TLS falls silent", async () => {
    await using redis = await startTlsRedis("server");
    const { raw } = setup(redis.plainUrl);
    const { lease } = setup(redis.url, { commandTimeoutMs: 1000 });
    await expect.poll(() => lease.ping().then(() => "well", String)).toBe("well");
    await raw.call("CLIENT", "PAUSE", "60000", "WRITE");
    await expectUnavailable(lease.ping(), /failed: no answer within 1000 ms$/);
  });
});

describe("RedisLease over TLS to a server whose authority nobody trusts", () => {
  it("refuses, and names NODE_EXTRA_CA_CERTS", async () => {
    await using redis = await startTlsRedis("server");
    const { lease, installation } = setup(redis.url);
    await expectUnavailable(
      lease.acquire(installation, "w1/t", TTL_MS),
      /self-signed certificate in certificate chain: let NODE_EXTRA_CA_CERTS name a file with/,
    );
  });
});

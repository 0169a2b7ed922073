import { describe, expect, it } from "vitest";
import { type Circumstances, remedyFor } from "../../../src/io/redis/remedy.ts";

const PLAIN: Circumstances = { tls: false, user: null, database: 0, welcome: false };
const OVER_TLS: Circumstances = { ...PLAIN, tls: true };

describe("remedyFor what Redis says", () => {
  const words = [
    ["Redis 5", "ERR invalid password"],
    ["Redis 6", "WRONGPASS invalid username-password pair or user is disabled."],
    ["a server that wants a password", "NOAUTH Authentication required."],
  ] as const;
  it.each(words)("leads to the password in the words of %s", (_, message) => {
    expect(remedyFor(new Error(message), PLAIN)).toBe(
      "check the user and the password in REDIS_URL",
    );
  });

  const missing = [
    ["any Redis", "NOPERM this user has no permissions to run the 'set' command"],
    [
      "Redis 6 in a script",
      "ERR Error running script (call to f_756d): @user_script:2: @user_script: 2: -NOPERM The user executing the script can't run this command or subcommand",
    ],
    [
      "Redis 7.0 in a script",
      "ERR The user executing the script can't run this command or subcommand script: 756d, on @user_script:2.",
    ],
    [
      "Redis 7.2 in a script",
      "ERR ACL failure in script: User watchdog has no permissions to run the 'get' command script: 756d, on @user_script:2.",
    ],
  ] as const;
  it.each(missing)("gives the permissions in the words of %s", (_, message) => {
    expect(remedyFor(new Error(message), PLAIN)).toBe(
      "allow what the lease needs: ACL SETUSER default ~watchdog:* +set +get +pttl +pexpire +eval",
    );
    expect(remedyFor(new Error(message), { ...PLAIN, user: "me", database: 1 })).toBe(
      "allow what the lease needs: ACL SETUSER me ~watchdog:* +set +get +pttl +pexpire +eval +select",
    );
  });

  const clusters = [
    "MOVED 866 10.0.0.1:6379",
    "ASK 866 10.0.0.1:6379",
    "CLUSTERDOWN Hash slot not served",
  ];
  it.each(clusters)("leads away from a Cluster that says %s", (message) => {
    expect(remedyFor(new Error(message), PLAIN)).toMatch(/unset REDIS_URL/);
  });

  it("leads out of protected mode", () => {
    const message = "DENIED Redis is running in protected mode because protected mode is enabled";
    expect(remedyFor(new Error(message), PLAIN)).toMatch(/give Redis a password/);
  });

  it.each(["READONLY You can't write", "MASTERDOWN Link with MASTER is down"])(
    "leads to the master when it says %s",
    (message) => {
      expect(remedyFor(new Error(message), PLAIN)).toMatch(/lead to the master/);
    },
  );

  const passing = [
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy",
    "the server closed the connection",
  ];
  it.each(passing)("has none for what passes by itself: %s", (message) => {
    expect(remedyFor(new Error(message), PLAIN)).toBeNull();
  });
});

describe("remedyFor what Node and OpenSSL say", () => {
  const untrusted = [
    "SELF_SIGNED_CERT_IN_CHAIN",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  ];
  it.each(untrusted)("names NODE_EXTRA_CA_CERTS for %s", (code) => {
    expect(remedyFor(coded(code), OVER_TLS)).toMatch(/^let NODE_EXTRA_CA_CERTS name a file/);
  });

  const others = [
    ["ERR_TLS_CERT_ALTNAME_INVALID", /a name that the server's certificate/],
    ["CERT_HAS_EXPIRED", /renew the server's certificate/],
    ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", /not supported/],
    ["ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE", /not supported/],
    ["ERR_SSL_WRONG_VERSION_NUMBER", /redis:\/\/ in REDIS_URL/],
    ["ERR_SSL_PACKET_LENGTH_TOO_LONG", /redis:\/\/ in REDIS_URL/],
  ] as const;
  it.each(others)("has one for %s", (code, remedy) => {
    expect(remedyFor(coded(code), OVER_TLS)).toMatch(remedy);
  });

  it("names the host when there is none of that name", () => {
    expect(remedyFor(coded("ENOTFOUND"), PLAIN)).toBe("check the host in REDIS_URL");
  });

  const schemes = [
    { code: "ETIMEDOUT", tls: true, remedy: /redis:\/\// },
    { code: "ECONNRESET", tls: false, remedy: /rediss:\/\// },
    { code: "EPIPE", tls: false, remedy: /rediss:\/\// },
  ];
  it.each(schemes)(
    "doubts the scheme after $code when tls is $tls, but not of a server that let us in",
    (one) => {
      const { code, tls, remedy } = one;
      expect(remedyFor(coded(code), { ...PLAIN, tls })).toMatch(remedy);
      expect(remedyFor(coded(code), { ...PLAIN, tls, welcome: true })).toBeNull();
      expect(remedyFor(coded(code), { ...PLAIN, tls: !tls })).toBeNull();
    },
  );

  it("looks for Redis itself where a connection is refused, and for the network where none gets there", () => {
    const runs = "check that Redis runs there, and host and port in REDIS_URL";
    expect(remedyFor(coded("ECONNREFUSED"), PLAIN)).toBe(runs);
    const network = "check the network, and host and port in REDIS_URL";
    expect(remedyFor(coded("EHOSTUNREACH"), PLAIN)).toBe(network);
    expect(remedyFor(coded("ENETUNREACH"), PLAIN)).toBe(network);
    expect(remedyFor(coded("EAI_AGAIN"), PLAIN)).toBe("check the host in REDIS_URL");
  });

  it("has none for what passes by itself, nor for what is no error", () => {
    expect(remedyFor(coded("ECONNABORTED"), PLAIN)).toBeNull();
    expect(remedyFor("ENOTFOUND", PLAIN)).toBeNull();
  });
});

function coded(code: string): Error {
  return Object.assign(new Error("it failed"), { code });
}

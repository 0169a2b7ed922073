/** What an operator reads while Redis, or what leads to it, is broken. */
import { Redis } from "ioredis";
import { describe } from "vitest";
import { freePort } from "../../services/free-port.ts";
import { redisUrl, startRedis } from "../../services/redis/redis.ts";
import { startTlsRedis } from "../../services/redis/tls.ts";
import { type Breakdown, type Broken, expectWords } from "../../support/breakdowns/breakdown.ts";

const NOBODY =
  "nobody has swept for 3 scheduled ticks: check that a worker runs, and what its log or run-watchdog doctor says";

const REDIS: readonly Breakdown[] = [
  unavailable("nobody listens there", {
    breaks: async () => at(`redis://127.0.0.1:${await freePort("127.0.0.1")}`),
    says: (where) =>
      `connect ECONNREFUSED ${where}: check that Redis runs there, and host and port in REDIS_URL`,
  }),
  unavailable("it refuses the password", {
    breaks: async () => {
      const url = new URL(redisUrl());
      url.username = "nobody";
      url.password = "wrong";
      return at(url.href);
    },
    says: () =>
      "WRONGPASS invalid username-password pair or user is disabled: check the user and the password in REDIS_URL",
  }),
  unavailable("it speaks nothing but TLS", {
    breaks: async (_, resources) => {
      const { url } = resources.use(await startTlsRedis("server"));
      return at(url.replace("rediss:", "redis:"));
    },
    says: () =>
      "read ECONNRESET: if it answers others, a server with TLS needs rediss:// in REDIS_URL",
  }),
  unavailable("nobody trusts its certificate", {
    breaks: async (_, resources) => at(resources.use(await startTlsRedis("server")).url),
    says: () =>
      "self-signed certificate in certificate chain: let NODE_EXTRA_CA_CERTS name a file with the certificate of the authority that signed the server's",
  }),
  unavailable("it has no room for more connections", {
    breaks: async (_, resources) => {
      const server = resources.use(await startRedis(["--maxclients", "1"]));
      const taken = new Redis(server.url);
      resources.defer(() => taken.disconnect());
      await taken.ping();
      return at(server.url);
    },
    says: () =>
      "ERR max number of clients reached: raise maxclients of Redis, or close connections that nobody uses",
  }),
  unavailable("it is full", {
    breaks: async (_, resources) => at(resources.use(await startRedis(["--maxmemory", "1"])).url),
    says: () =>
      "OOM command not allowed when used memory > 'maxmemory': raise maxmemory of Redis, or free some",
  }),
];

describe("an operator of Redis", () => {
  expectWords(REDIS);
});

interface Unavailable {
  readonly breaks: Breakdown["breaks"];
  readonly says: (where: string) => string;
}

/** A dry run takes no lease, and the database knows of none. */
function unavailable(name: string, { breaks, says }: Unavailable): Breakdown {
  const text = (where: string) => `acquiring the lease at redis ${where} failed: ${says(where)}`;
  const open = text("127.0.0.1:<port>");
  return {
    name,
    breaks,
    tells: says("").split(": ").at(-1) ?? "",
    silent: { status: "redis" },
    words: {
      once: [69, `Redis: ${open}`],
      dryRun: [0],
      health: ["degraded", `lease: ${text("<address>")}`],
      log: `error not ready: ${open}`,
      status: [3, NOBODY],
      metrics: ["watchdog_lease_store_up 0", "watchdog_postgres_up 1"],
    },
  };
}

function at(url: string): Broken {
  // A probe tells soon enough, and nobody is missed for not having swept before the test is over.
  const env = { WATCHDOG_SCHEDULE: "0 0 1 1 *", REDIS_URL: url };
  return { env, names: { [`:${new URL(url).port}`]: ":<port>" } };
}

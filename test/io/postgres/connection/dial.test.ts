import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { TlsMode } from "../../../../src/rules/network/endpoints.ts";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import { AUTHORITY_FILE, type CertificateName } from "../../../services/certificates.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import { startTlsPostgres, type TlsPostgres } from "../../../services/postgres/tls.ts";
import { asking } from "../../../support/stands/asking.ts";
import { openStores, type TestStores } from "../../../support/stands/stores.ts";

const CA = readFileSync(AUTHORITY_FILE, "utf8");
const FULL: TlsMode = { verify: "full", ca: CA };
const CHAIN: TlsMode = { verify: "ca", ca: CA };

let server: TlsPostgres;
let elsewhere: TlsPostgres;
const databases = new Map<CertificateName, TestDatabase>();

beforeAll(async () => {
  server = await startTlsPostgres("server");
  elsewhere = await startTlsPostgres("elsewhere");
  databases.set("server", await createDatabase({ server: server.server.url() }));
  databases.set("elsewhere", await createDatabase({ server: elsewhere.server.url() }));
});

afterAll(async () => {
  for (const database of databases.values()) await database[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  await elsewhere?.[Symbol.asyncDispose]();
});

describe("a server that speaks TLS", () => {
  const modes: readonly (readonly [string, TlsMode, CertificateName, boolean])[] = [
    ["not used where it is off", "off", "server", false],
    ["used where it is preferred", "prefer", "server", true],
    ["used where it is required, whoever the certificate is for", "require", "elsewhere", true],
    ["used where the chain is right, whoever it is for", CHAIN, "elsewhere", true],
    ["used where chain and name are right", FULL, "server", true],
  ];
  it.each(modes)("has it %s", async (_, tls, name, used) => {
    await using stores = openTo(name, tls);
    const [row] = await stores.database.run(
      "asking",
      asking("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
    );
    expect(row).toEqual({ ssl: used });
  });

  it("is unavailable where its certificate names somebody else", async () => {
    await using stores = openTo("elsewhere", FULL);
    await expect(one(stores)).rejects.toThrow(StoreUnavailableError);
    await expect(one(stores)).rejects.toThrow(
      /failed: ERR_TLS_CERT_ALTNAME_INVALID: DATABASE_URL or AUTOMATION_DB_\* has to use a name that the server's certificate is made out to, or sslmode=verify-ca$/,
    );
  });

  it("is unavailable where nobody known has signed its certificate", async () => {
    await using stores = openTo("server", { verify: "full", ca: null });
    await expect(one(stores)).rejects.toThrow(
      /failed: \w*(CERT|ISSUER|SIGNATURE)\w*: let sslrootcert in DATABASE_URL, or NODE_EXTRA_CA_CERTS, name a file /,
    );
  });

  it("is unavailable where the authority that is to be trusted is none", async () => {
    await using stores = openTo("server", { verify: "full", ca: "no certificate" });
    await expect(one(stores)).rejects.toThrow(StoreUnavailableError);
  });

  it("takes the wish to cancel in the same way, and nobody in between reads the key to it", async () => {
    await using wire = await tapped(database("server"));
    await using stores = openTo("server", FULL, 500, wire.port);
    const { sql: admin } = database("server");
    await expect(stores.database.run("sleeping", asking("SELECT pg_sleep(60)"))).rejects.toThrow(
      /no answer from Postgres/,
    );
    await vi.waitFor(async () => {
      const rows = await admin`
        SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'`;
      expect(rows).toHaveLength(0);
    }, 5000);
    expect(wire.connections()).toBeGreaterThan(1);
    expect(wire.seen().includes(CANCEL_REQUEST)).toBe(false);
    await expect(one(stores)).resolves.toBeDefined();
  });

  it("leaves no socket behind", async () => {
    // Those of other tests have a moment to go.
    const before = await vi.waitFor(() => {
      expect(openSockets()).toBeLessThanOrEqual(databases.size);
      return openSockets();
    }, 20_000);
    await using stores = openTo("server", FULL);
    await one(stores);
    expect(openSockets()).toBeGreaterThan(before);
    await stores.database.close(1000);
    await vi.waitFor(() => expect(openSockets()).toBe(before), 20_000);
  });
});

describe("a server that says more than yes to the question for TLS", () => {
  it("is not believed: what came in plain text would count as encrypted", async () => {
    const liar = createServer((socket) => {
      socket.on("error", () => undefined).once("data", () => socket.write("SE\0\0\0\0"));
    }).listen(0, "127.0.0.1");
    await once(liar, "listening");
    const address = liar.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    try {
      const { connection } = database("server");
      await using stores = openStores({ ...connection, host: "127.0.0.1", port, tls: "require" });
      await expect(one(stores)).rejects.toThrow(/failed: ECONNRESET$/);
    } finally {
      liar.close();
    }
  });
});

function database(name: CertificateName): TestDatabase {
  const found = databases.get(name);
  if (found === undefined) throw new Error(`no database shows ${name}`);
  return found;
}

function openTo(
  name: CertificateName,
  tls: TlsMode,
  callDeadlineMs = 15_000,
  port = database(name).connection.port,
): TestStores {
  const { connection } = database(name);
  return openStores({ ...connection, port, tls, callDeadlineMs }, { size: 1 });
}

/** How a message that cancels begins. */
const CANCEL_REQUEST = Buffer.from([0, 0, 0, 16, 4, 210, 22, 46]);

/** Somebody on the way who reads along. */
async function tapped({ connection: { host, port } }: TestDatabase) {
  const said: Buffer[] = [];
  let connections = 0;
  const server = createServer((client) => {
    connections += 1;
    const upstream = connect({ host, port });
    upstream.on("error", () => client.destroy()).once("close", () => client.destroy());
    client.on("error", () => upstream.destroy()).once("close", () => upstream.destroy());
    client.on("data", (chunk: Buffer) => said.push(chunk));
    client.pipe(upstream).pipe(client);
  }).listen(0, host);
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    connections: () => connections,
    seen: () => Buffer.concat(said),
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

function one({ database: opened }: TestStores): Promise<unknown> {
  return opened.run("asking", asking("SELECT 1"));
}

function openSockets(): number {
  const kinds = new Set(["TCPSocketWrap", "TLSWrap"]);
  return process.getActiveResourcesInfo().filter((kind) => kinds.has(kind)).length;
}

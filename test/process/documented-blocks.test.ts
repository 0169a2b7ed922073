/** The blocks of commands that the documents show, executed as they stand: a reader's shell, our program, our services. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, inject, it } from "vitest";
import { Throwaway } from "../services/throwaway.ts";
import { obstaclesOf, type ShellBlock, shellBlocks } from "../support/shell-blocks.ts";
import { createWorld, type World } from "../support/world/world.ts";

/** `psql [-v ...] <url> [-c <sql>]`, without it the statements come on its standard input. */
const PSQL = `
  import { text } from "node:stream/consumers";
  import postgres from ${JSON.stringify(import.meta.resolve("postgres"))};
  const args = process.argv.slice(2);
  const url = args.find((arg) => arg.startsWith("postgres://"));
  const at = args.indexOf("-c");
  const statements = at < 0 ? await text(process.stdin) : args[at + 1];
  if (!statements?.trim()) throw new Error("psql was given no statements");
  const sql = postgres(url, { max: 1 });
  await sql.unsafe(statements);
  await sql.end();`;

const executed = Map.groupBy(
  shellBlocks().filter((block) => obstaclesOf(block).length === 0),
  ({ document }) => document,
);

describe("the blocks of commands that can be executed here", () => {
  it("are those of the README, of the installation and of the guard", () => {
    const wanted = ["README.md", "docs/install.md", "docs/verdicts.md"];
    expect([...executed.keys()]).toEqual(expect.arrayContaining(wanted));
  });

  for (const [document, blocks] of executed) {
    it(`of ${document} do what they say, one after the other`, async () => {
      const migrates = blocks.some(({ commands }) => commands.includes("run-watchdog migrate"));
      await using world = await createWorld({ migrate: !migrates });
      await using reader = await Reader.create(world);
      for (const block of blocks) await reader.types(block);
    });
  }
});

/** Somebody who fills in what the documents leave open, and types the rest. */
class Reader implements AsyncDisposable {
  readonly #world: World;
  readonly #place: Throwaway;
  readonly #role = `watchdog_user_${randomBytes(6).toString("hex")}`;

  private constructor(world: World, place: Throwaway) {
    this.#world = world;
    this.#place = place;
  }

  static async create(world: World): Promise<Reader> {
    const place = await Throwaway.create({ name: "run-watchdog-reader", stopSignal: "TERM" });
    const bin = join(place.folder, "bin");
    await mkdir(bin);
    await writeFile(join(place.folder, "psql.mjs"), PSQL);
    const programs = {
      "run-watchdog": `exec "${process.execPath}" "${inject("program")}" "$@"`,
      npx: 'exec "$@"',
      // The tests have built the program already.
      npm: '[ "$*" = "run build" ]',
      psql: `exec "${process.execPath}" "${join(place.folder, "psql.mjs")}" "$@"`,
    };
    for (const [name, script] of Object.entries(programs)) {
      await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
      await chmod(join(bin, name), 0o755);
    }
    return new Reader(world, place);
  }

  /** Fails with what the commands printed when one of them does. */
  async types({ text }: ShellBlock): Promise<void> {
    const { folder } = this.#place;
    const PATH = [join(folder, "bin"), dirname(process.execPath), "/usr/bin", "/bin"];
    const SUPERUSER_URL = this.#world.database.url;
    const env = { ...this.#world.env, SUPERUSER_URL, PATH: PATH.join(delimiter) };
    const script = this.#filledIn(text);
    const shell = promisify(execFile)("/bin/sh", ["-e", "-c", script], { cwd: folder, env });
    await shell.catch(({ stdout, stderr }) => expect.fail(`${script}${stdout}${stderr}`));
  }

  #filledIn(text: string): string {
    const { host, database } = this.#world;
    const own = Object.assign(new URL(database.url), { username: this.#role, password: "secret" });
    return text
      .replaceAll(/postgres:\/\/automation_user:\S+/g, database.url)
      .replaceAll("watchdog_user", this.#role)
      .replaceAll(new RegExp(`postgres://${this.#role}:\\S+`, "g"), own.href)
      .replaceAll("'...'", "'secret'")
      .replaceAll(/(API_BASE_URL=)\S+/g, `$1${host.url}`)
      .replaceAll(/(SERVICE_KEY=)\S+/g, `$1${host.serviceKey}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { sql } = this.#world.database;
    const made = await sql`SELECT FROM pg_roles WHERE rolname = ${this.#role}`;
    if (made.length > 0) await sql.unsafe(`DROP OWNED BY ${this.#role}; DROP ROLE ${this.#role}`);
    await this.#place.dispose();
  }
}

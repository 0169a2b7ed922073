/** What an install of the package brings: one package that runs, and types that check, without any other. */
import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { freePort } from "../services/free-port.ts";
import { Throwaway } from "../services/throwaway.ts";
import { OLD_NODE, oldNodes, preloaded } from "../support/process/node-program.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const MIB = 1024 * 1024;

/** Whatever touches a flag of V8 fails. */
const NO_FLAGS = `
  import v8 from "node:v8";
  import { syncBuiltinESMExports } from "node:module";
  v8.setFlagsFromString = (flag) => { throw new Error("sets " + flag) };
  syncBuiltinESMExports();`;

const EMBED = `
  import { createWatchdog, parseConfig } from "run-watchdog";
  const env = {
    DATABASE_URL: "postgres://me:pw@localhost/app",
    AUTOMATION_OPENHANDS_API_BASE_URL: "http://localhost",
    AUTOMATION_SERVICE_KEY: "key",
  };
  const { config } = parseConfig(env, () => "");
  await using watchdog = createWatchdog(config);
  console.log(JSON.stringify(watchdog.answer("/livez")));`;

/** undici keeps the dispatcher of `fetch`, Node's own too, where all copies of it find it. */
const DISPATCHERS = `
  import("run-watchdog").then(() => {
    const found = Object.getOwnPropertySymbols(globalThis).map(String);
    console.log(JSON.stringify(found.filter((name) => name.includes("undici"))));
  });`;

/** What a sample may take for granted. */
const GIVEN = `
  declare const signal: AbortSignal;
  declare const verify: import("run-watchdog").Backend["verify"];
  declare const cleanup: import("run-watchdog").Backend["cleanup"];
  declare function readFileSync(path: string, encoding: "utf8"): string;`;

const FACE = `
  import * as face from "run-watchdog";
  import { createWatchdog, health, liveness, migrate, parseConfig, readiness } from "run-watchdog";

  export async function embed(backend: face.Backend, signal: AbortSignal): Promise<number> {
    const parsed: face.Parsed<face.Config> = parseConfig({}, () => "", { backend: "own" });
    const migrated: face.MigrateResult = await migrate(parsed.config, signal, { check: true });
    const hooks: face.WatchdogHooks = {
      onOutcome: ({ runId }: face.RunOutcome) => runId,
      onHold: async (reason: string) => console.log(reason),
      onSweep({ status }: face.SweepReport): void { console.log(status) },
    };
    const options: face.WatchdogOptions = { backend, name: "host", ...hooks };
    await using watchdog: face.Watchdog = createWatchdog(parsed.config, options);
    const selection: face.SweepOnceOptions = { dryRun: true, runIds: [], limit: 1, overrideReason: "x" };
    const report: face.SweepReport | null = await watchdog.sweepOnce(signal, selection);
    const facts: face.WorkerFacts = watchdog.facts();
    const alive: boolean = liveness(facts).alive && readiness(facts).ready;
    const status: "ok" | "degraded" | "failing" = health(facts).status;
    const secret: string | null = parsed.config.database.endpoint.current.password;
    const { status: code, body }: face.HealthAnswer = watchdog.answer("/health");
    const outcomes: readonly face.RunOutcome[] = report?.runs ?? [];
    console.log(migrated.applied, alive, status, secret, body, outcomes);
    // @ts-expect-error: there is no such path
    watchdog.answer("/metrics");
    // @ts-expect-error: evidence of an unknown kind
    const wrong: face.Evidence = { kind: "dead" };
    return code;
  }

  export function explain(error: unknown): string {
    if (error instanceof face.ConfigError) return error.problems.join();
    if (error instanceof face.StoreUnavailableError) return String(error.late);
    if (error instanceof face.LeaseUnavailableError) return String(error.withoutEffect);
    return String(error instanceof face.StoreSchemaError || error instanceof face.LeaseLostError);
  }`;

describe("the package", () => {
  let place: Throwaway;
  let consumer: string;
  const installed = (...path: readonly string[]) =>
    join(consumer, "node_modules", "run-watchdog", ...path);

  beforeAll(async () => {
    place = await Throwaway.create({ name: "run-watchdog-package", stopSignal: "TERM" });
    consumer = join(place.folder, "consumer");
    await mkdir(consumer);
    await writeFile(join(consumer, "package.json"), JSON.stringify({ type: "module" }));
    const tarball = await pack(place.folder);
    await npm(
      consumer,
      "install",
      "--offline",
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
      tarball,
    );
  });

  afterAll(() => place.dispose());

  it("is the only one that is installed, with less than 6 MB", async () => {
    const names = await readdir(join(consumer, "node_modules"));
    expect(names.filter((name) => !name.startsWith("."))).toEqual(["run-watchdog"]);
    const sizes = (await filesOf(installed())).map(
      async (path) => (await stat(installed(path))).size,
    );
    const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    expect(bytes).toBeLessThan(6 * MIB);
  });

  it("holds the bundle, its types, the licences, the schemas and the migrations, and nothing of the development", async () => {
    const files = await filesOf(installed());
    const tags = (await readdir(join(ROOT, "drizzle"))).filter((name) => name.endsWith(".sql"));
    const hostTags = await readdir(join(ROOT, "drizzle", "host"));
    const schemas = await readdir(join(ROOT, "docs", "schema"));
    expect(files.filter((path) => !/^dist\/[\w-]+\.js$/.test(path))).toEqual(
      [
        "LICENSE",
        "README.md",
        "dist/THIRD-PARTY-LICENSES",
        "dist/index.d.ts",
        ...schemas.map((name) => `docs/schema/${name}`),
        "drizzle/meta/_journal.json",
        ...tags.map((name) => `drizzle/${name}`),
        ...hostTags.map((name) => `drizzle/host/${name}`),
        "package.json",
      ].toSorted(),
    );
    expect(files).toEqual(expect.arrayContaining(["dist/index.js", "dist/main.js"]));
  });

  it("names every package that is bundled, with its licence", async () => {
    const text = await readFile(installed("dist", "THIRD-PARTY-LICENSES"), "utf8");
    for (const name of [
      "@opentelemetry/api",
      "commander",
      "drizzle-orm",
      "ioredis",
      "pino",
      "postgres",
      "undici",
      "zod",
    ]) {
      expect(text).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\([\\w.-]+\\)$`, "m"));
    }
    expect(text).toContain("Apache License");
    expect(text).not.toContain("typescript ");
  });

  it("starts as a command", async () => {
    const { stdout } = await node(consumer, [installed("dist", "main.js"), "--version"]);
    expect(stdout).toBe(`${packageJson.version}\n`);
  });

  it("gets as far as Postgres without any other package", async () => {
    const env = {
      DATABASE_URL: `postgres://me:pw@127.0.0.1:${await freePort("127.0.0.1")}/app`,
      AUTOMATION_OPENHANDS_API_BASE_URL: "http://127.0.0.1",
      AUTOMATION_SERVICE_KEY: "key",
    };
    const ran = node(consumer, [installed("dist", "main.js"), "once"], env);
    await expect(ran).rejects.toMatchObject({ code: 69 });
  });

  it("runs inside another process without touching its V8 flags", async () => {
    await writeFile(join(consumer, "embed.js"), EMBED);
    const { stdout } = await node(consumer, ["embed.js"], { NODE_OPTIONS: preloaded(NO_FLAGS) });
    expect(JSON.parse(stdout)).toEqual({ status: 200, body: { status: "ok", reasons: [] } });
  });

  it("leaves the way on which its host fetches as it is", async () => {
    const { stdout } = await node(consumer, ["--eval", DISPATCHERS]);
    expect(stdout).toBe("[]\n");
  });

  const TOO_OLD =
    /run-watchdog needs Node\.js 24 or newer, this is v\d+\.\S+ \(\S+\): update Node\.js/;

  it("says what to do when an older Node.js imports it", async () => {
    await writeFile(join(consumer, "import.js"), 'import "run-watchdog";');
    const env = { NODE_OPTIONS: preloaded(OLD_NODE) };
    await expect(node(consumer, ["import.js"], env)).rejects.toThrow(TOO_OLD);
    for (const program of await oldNodes()) {
      const ran = promisify(execFile)(program, ["import.js"], { cwd: consumer });
      await expect(ran).rejects.toThrow(TOO_OLD);
    }
  });

  describe("in its types", () => {
    beforeAll(async () => {
      // What a host has anyway, and the types of no other package.
      await mkdir(join(consumer, "node_modules", "@types"));
      for (const name of ["@types/node", "undici-types"]) {
        await symlink(join(ROOT, "node_modules", name), join(consumer, "node_modules", name));
      }
      const files = [["given.d.ts", GIVEN], ["face.ts", FACE], ...(await samples())] as const;
      await mkdir(join(consumer, "samples"));
      for (const [name, text] of files) await writeFile(join(consumer, "samples", name), text);
    });

    it("names no other package but Node's own", async () => {
      const types = await readFile(installed("dist", "index.d.ts"), "utf8");
      const imported = Array.from(
        types.matchAll(/(?:from|import\()\s*"([^"]+)"/g),
        ([, name]) => name,
      );
      expect(imported.filter((name) => !name?.startsWith("node:"))).toEqual([]);
      expect(types).not.toMatch(/drizzle|zod|ioredis|Sql\b|SELECT|EnvReader/);
    });

    for (const [module, resolution] of [
      ["nodenext", "nodenext"],
      ["esnext", "bundler"],
    ] as const) {
      it(`checks the README's samples and the whole face under ${resolution}`, async () => {
        const files = (await readdir(join(consumer, "samples"))).map((name) =>
          join("samples", name),
        );
        const options = [
          "--noEmit",
          "--strict",
          "--target",
          "es2024",
          "--lib",
          "es2024,esnext.disposable",
        ];
        const resolving = ["--module", module, "--moduleResolution", resolution];
        const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
        const ran = node(consumer, [tsc, ...options, ...resolving, "--types", "node", ...files]);
        const { stdout } = await ran.catch((error: { readonly stdout: string }) => error);
        expect(stdout).toBe("");
      });
    }
  });
});

/** As `npm pack` does after a build: from what the tests run. */
async function pack(folder: string): Promise<string> {
  const built = join(folder, "built");
  await mkdir(built);
  for (const name of ["package.json", "README.md", "LICENSE", "docs", "drizzle"]) {
    await cp(join(ROOT, name), join(built, name), { recursive: true });
  }
  await cp(dirname(inject("program")), join(built, "dist"), { recursive: true });
  const { stdout } = await npm(built, "pack", "--ignore-scripts", "--pack-destination", folder);
  return join(folder, stdout.trim());
}

/** The ```ts blocks of the documents, by a file name for each. */
async function samples(): Promise<readonly (readonly [name: string, text: string])[]> {
  const documents = ["README.md", "docs/embedding.md"];
  const texts = await Promise.all(
    documents.map((path) => readFile(join(ROOT, path), "utf8").catch(() => "")),
  );
  const found = texts.flatMap((text, at) =>
    Array.from(text.matchAll(/^```ts\n(.*?)^```$/gms), ([, block = ""], index) => {
      const name = `${documents[at]}-${index + 1}.ts`.toLowerCase().replace("/", "-");
      return [name, block] as const;
    }),
  );
  expect(found.length).toBeGreaterThan(0);
  return found;
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted();
}

function npm(cwd: string, ...args: readonly string[]) {
  return promisify(execFile)("npm", ["--silent", ...args], { cwd });
}

function node(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return promisify(execFile)(process.execPath, args, { cwd, env: { ...process.env, ...env } });
}

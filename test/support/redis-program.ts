/** A local redis-server: from PATH, or unpacked from the distribution's packages without installing anything. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { arch } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const APT_WITHIN_MS = 180_000;
const CACHE = join(import.meta.dirname, "..", "..", "node_modules", ".cache", "redis");
// What redis-server needs on Debian and Ubuntu, for when apt cannot work out what is missing here.
const PACKAGES = ["redis-server", "redis-tools", "libjemalloc2", "liblzf1"];

const exec = promisify(execFile);

/** A redis-server that runs on this machine. Plain data, so that it can be handed to the test processes. */
export interface RedisProgram {
  readonly command: string;
  readonly libraryPath: string | null;
  /** For the line that says what the tests use. */
  readonly origin: string;
}

export async function findRedis(): Promise<RedisProgram> {
  const problems: string[] = [];
  for (const source of [fromPath, fromCache, fromPackages]) {
    try {
      const program = await source();
      if (program !== null) return program;
    } catch (error) {
      problems.push(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error));
    }
  }
  throw new Error(
    `the tests need Redis: install redis-server, start Docker, or set TEST_REDIS_URL (${problems.join("; ") || "no package manager to unpack it from"})`,
  );
}

async function fromPath(): Promise<RedisProgram | null> {
  for (const name of ["redis-server", "valkey-server"]) {
    for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
      const program = { command: join(folder, name), libraryPath: null, origin: name };
      if (folder !== "" && (await works(program))) return program;
    }
  }
  return null;
}

/** Runs that unpacked at the same time leave copies of their own; any one that works is right. */
async function fromCache(): Promise<RedisProgram | null> {
  if (!existsSync(CACHE)) return null;
  const prefix = await cachePrefix();
  for (const name of await readdir(CACHE)) {
    if (!name.startsWith(prefix)) continue;
    const program = await unpackedProgram(join(CACHE, name)).catch(() => null);
    if (program !== null && (await works(program))) return program;
  }
  return null;
}

async function fromPackages(): Promise<RedisProgram | null> {
  if (!existsSync("/usr/bin/apt-get")) return null;
  await mkdir(CACHE, { recursive: true });
  const work = await mkdtemp(join(CACHE, ".unpack-"));
  try {
    await downloadPackages(work);
    const root = join(work, "root");
    for (const file of await readdir(work)) {
      if (file.endsWith(".deb")) await exec("dpkg", ["-x", join(work, file), root]);
    }
    const unpacked = await unpackedProgram(root);
    if (!(await works(unpacked))) throw new Error("the unpacked redis-server does not run");
    const final = join(CACHE, `${await cachePrefix()}-${work.slice(-6)}`);
    await rename(root, final);
    return await unpackedProgram(final);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** With the system's package lists, else, where they are missing or outdated, with lists of our own. */
async function downloadPackages(work: string): Promise<void> {
  const own = ["-o", `Dir::Cache=${join(work, "cache")}`, "-o", "Debug::NoLocking=true"];
  const ownLists = [...own, "-o", `Dir::State::lists=${join(work, "lists")}`];
  await mkdir(join(work, "cache", "archives", "partial"), { recursive: true });
  await mkdir(join(work, "lists", "partial"), { recursive: true });
  try {
    await apt(work, [...own, "download", ...(await missingPackages(work, own))]);
  } catch {
    await apt(work, [...ownLists, "update"]);
    await apt(work, [...ownLists, "download", ...(await missingPackages(work, ownLists))]);
  }
}

/** What installing redis-server would bring here. */
async function missingPackages(
  work: string,
  options: readonly string[],
): Promise<readonly string[]> {
  const plan = ["install", "--simulate", "--no-install-recommends", "redis-server"];
  const { stdout } = await apt(work, [...options, ...plan]);
  const names = [...stdout.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name ?? "");
  return names.length > 0 ? names : PACKAGES;
}

function apt(cwd: string, args: readonly string[]) {
  const env = { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" };
  return exec("apt-get", ["-q", ...args], { cwd, env, timeout: APT_WITHIN_MS });
}

async function unpackedProgram(root: string): Promise<RedisProgram> {
  const libraries = join(root, "usr", "lib");
  const folders = await readdir(libraries, { withFileTypes: true });
  const triplets = folders.filter((entry) => entry.isDirectory() && entry.name.includes("linux"));
  return {
    command: join(root, "usr", "bin", "redis-server"),
    libraryPath: triplets.map(({ name }) => join(libraries, name)).join(":"),
    origin: "unpacked redis-server",
  };
}

/** Copies are for one release of one distribution: their libraries come from it. */
async function cachePrefix(): Promise<string> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const value = (name: string) => new RegExp(`^${name}="?([\\w.]+)`, "m").exec(release)?.[1] ?? "";
  return `${value("ID")}-${value("VERSION_ID")}-${arch()}`;
}

async function works(program: RedisProgram): Promise<boolean> {
  if (!existsSync(program.command)) return false;
  return exec(program.command, ["--version"], { env: environment(program) }).then(
    () => true,
    () => false,
  );
}

/** Ours, and where the program finds its libraries. */
export function environment(program: RedisProgram): NodeJS.ProcessEnv {
  if (program.libraryPath === null) return process.env;
  return { ...process.env, LD_LIBRARY_PATH: program.libraryPath };
}

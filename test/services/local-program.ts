/** A server program of this machine: from PATH, or unpacked from the distribution's packages without installing anything. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { arch } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const APT_WITHIN_MS = 180_000;
const CACHE = join(import.meta.dirname, "..", "..", "node_modules", ".cache");

const exec = promisify(execFile);

/** A program that runs on this machine. Plain data, so that it can be handed to the test processes. */
export interface LocalProgram {
  readonly command: string;
  readonly libraryPath: string | null;
  /** For the line that says what the tests use. */
  readonly origin: string;
}

export interface ProgramSource {
  /** What it is called; the first that runs is taken. */
  readonly names: readonly [string, ...string[]];
  /** The package of Debian and Ubuntu that brings `names[0]`. */
  readonly package: string;
  /** What else to unpack, beside missing libraries. */
  readonly companions: readonly string[];
  /** Where `names[0]` lies in its package. */
  readonly path: string;
}

/** @throws Error saying, for each place that was looked at, why there is none. */
export async function findProgram(source: ProgramSource): Promise<LocalProgram> {
  const problems: string[] = [];
  for (const look of [fromPath, fromCache, fromPackages]) {
    try {
      const program = await look(source);
      if (program !== null) return program;
    } catch (error) {
      problems.push(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error));
    }
  }
  throw new Error(problems.join("; ") || "no package manager to unpack it from");
}

async function fromPath({ names }: ProgramSource): Promise<LocalProgram | null> {
  // Servers lie where only an administrator's PATH leads.
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin"];
  for (const name of names) {
    for (const folder of folders) {
      const program = { command: join(folder, name), libraryPath: null, origin: name };
      if (folder !== "" && (await works(program))) return program;
    }
  }
  return null;
}

/** Runs that unpacked at the same time leave copies of their own; any one that works is right. */
async function fromCache(source: ProgramSource): Promise<LocalProgram | null> {
  const cache = cacheOf(source);
  if (!existsSync(cache)) return null;
  const prefix = await cachePrefix();
  for (const name of await readdir(cache)) {
    if (!name.startsWith(prefix)) continue;
    const program = await unpackedProgram(source, join(cache, name)).catch(() => null);
    if (program !== null && (await works(program))) return program;
  }
  return null;
}

async function fromPackages(source: ProgramSource): Promise<LocalProgram | null> {
  if (!existsSync("/usr/bin/apt-get")) return null;
  const cache = cacheOf(source);
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, ".unpack-"));
  try {
    await downloadPackages(source, work);
    const root = join(work, "root");
    for (const file of await readdir(work)) {
      if (file.endsWith(".deb")) await exec("dpkg", ["-x", join(work, file), root]);
    }
    const unpacked = await unpackedProgram(source, root);
    if (!(await works(unpacked))) throw new Error(`the ${unpacked.origin} does not run`);
    const final = join(cache, `${await cachePrefix()}-${work.slice(-6)}`);
    await rename(root, final);
    return await unpackedProgram(source, final);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** With the system's package lists, else, where they are missing or outdated, with lists of our own. */
async function downloadPackages(source: ProgramSource, work: string): Promise<void> {
  const own = ["-o", `Dir::Cache=${join(work, "cache")}`, "-o", "Debug::NoLocking=true"];
  const ownLists = [...own, "-o", `Dir::State::lists=${join(work, "lists")}`];
  await mkdir(join(work, "cache", "archives", "partial"), { recursive: true });
  await mkdir(join(work, "lists", "partial"), { recursive: true });
  try {
    await apt(work, [...own, "download", ...(await neededPackages(source, work, own))]);
  } catch {
    await apt(work, [...ownLists, "update"]);
    await apt(work, [...ownLists, "download", ...(await neededPackages(source, work, ownLists))]);
  }
}

/** The program's own packages, and the libraries that installing it would bring here. */
async function neededPackages(
  source: ProgramSource,
  work: string,
  options: readonly string[],
): Promise<readonly string[]> {
  const plan = ["install", "--simulate", "--no-install-recommends", source.package];
  const { stdout } = await apt(work, [...options, ...plan]);
  const missing = [...stdout.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name ?? "");
  const libraries = missing.filter((name) => name.startsWith("lib"));
  return [...new Set([source.package, ...source.companions, ...libraries])];
}

function apt(cwd: string, args: readonly string[]) {
  const env = { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" };
  return exec("apt-get", ["-q", ...args], { cwd, env, timeout: APT_WITHIN_MS });
}

async function unpackedProgram(
  { names: [name], path }: ProgramSource,
  root: string,
): Promise<LocalProgram> {
  const folders: string[] = [];
  for (const libraries of [join(root, "usr", "lib"), join(root, "lib")]) {
    const entries = await readdir(libraries, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (entry.isDirectory() && entry.name.includes("linux")) {
        folders.push(join(libraries, entry.name));
      }
    }
  }
  return {
    command: join(root, path),
    libraryPath: folders.join(":") || null,
    origin: `unpacked ${name}`,
  };
}

function cacheOf({ names: [name] }: ProgramSource): string {
  return join(CACHE, name);
}

/** Copies are for one release of one distribution: their libraries come from it. */
async function cachePrefix(): Promise<string> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const value = (name: string) => new RegExp(`^${name}="?([\\w.]+)`, "m").exec(release)?.[1] ?? "";
  return `${value("ID")}-${value("VERSION_ID")}-${arch()}`;
}

async function works(program: LocalProgram): Promise<boolean> {
  if (!existsSync(program.command)) return false;
  return exec(program.command, ["--version"], { env: environment(program) }).then(
    () => true,
    () => false,
  );
}

/** Ours, and where the program finds its libraries. */
export function environment(program: LocalProgram): NodeJS.ProcessEnv {
  if (program.libraryPath === null) return process.env;
  return { ...process.env, LD_LIBRARY_PATH: program.libraryPath };
}

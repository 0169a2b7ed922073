import { execFile } from "node:child_process";
import { readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import packageJson from "../../package.json" with { type: "json" };
import { Throwaway } from "./throwaway.ts";
import "./provided.ts";

const ROOT = join(import.meta.dirname, "..", "..");

const resources = new AsyncDisposableStack();

/** Runs once before the tests that start processes: they start what is shipped, built from the sources as they are now. */
export async function setup(project: TestProject): Promise<void> {
  const place = await Throwaway.create({ name: "run-watchdog-program", stopSignal: "TERM" });
  resources.defer(() => place.dispose());
  try {
    await linkSources(place.folder);
    await build(place.folder);
  } catch (error) {
    await teardown();
    throw error;
  }
  project.onTestsRerun(() => build(place.folder));
  project.provide("program", join(place.folder, packageJson.bin["run-watchdog"]));
}

export async function teardown(): Promise<void> {
  await resources.disposeAsync();
}

/** A folder of the run's own, where nobody else builds: as the checkout, but with a `dist` of its own. */
async function linkSources(folder: string): Promise<void> {
  const names = (await readdir(ROOT)).filter((name) => name !== "dist" && !name.startsWith("."));
  await Promise.all(names.map((name) => symlink(join(ROOT, name), join(folder, name))));
}

async function build(folder: string): Promise<void> {
  // Else the bundler leaves a cache behind where temporary files are.
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" };
  try {
    const build = ["run", "--silent", "build", "--", "--dir", join(folder, "dist")];
    await promisify(execFile)("npm", build, { cwd: ROOT, env });
  } catch (cause) {
    throw new Error("the program under test could not be built (npm run build)", { cause });
  }
}

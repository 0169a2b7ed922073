/** Where the time of a sweep goes: a CPU profile of the worker, and the files that it was spent in. */
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { sweepOnce } from "../processes/worker.ts";
import { type CpuProfile, type FileTime, timeByFile, timeByPackage } from "./time-by-file.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const SHOWN = 15;
/** Often enough to tell files apart, seldom enough not to be what takes the time. */
const SAMPLE_EVERY_US = 1000;

/**
 * Writes `<name>.cpuprofile` into the working directory: to be opened with the developer tools of a browser.
 *
 * @returns lines for people.
 */
export async function profileSweep(
  name: string,
  env: Readonly<Record<string, string>>,
  runs: number,
): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), "run-watchdog-profile-"));
  try {
    const dist = join(folder, "dist");
    // The shipped program has no source maps, and one without them would only name its bundle.
    const build = ["run", "--silent", "build", "--", "--sourcemap", "--dir", dist];
    await promisify(execFile)("npm", build, { cwd: ROOT });
    const profiling = ["--cpu-prof", `--cpu-prof-interval=${SAMPLE_EVERY_US}`];
    const nodeArgs = [...profiling, `--cpu-prof-dir=${folder}`];
    await sweepOnce(env, runs, { program: join(dist, "main.js"), nodeArgs });
    const [written] = (await readdir(folder)).filter((file) => file.endsWith(".cpuprofile"));
    if (written === undefined) throw new Error("Node.js was to write a CPU profile, found none");
    const file = resolve(`${name}.cpuprofile`);
    await copyFile(join(folder, written), file);
    const profile: CpuProfile = JSON.parse(await readFile(file, "utf8"));
    const files = timeByFile(profile);
    return [
      `${name}: where the CPU time goes, in percent, by file and by package`,
      ...linesOf(files),
      ...linesOf(timeByPackage(files)),
      `written to ${file}`,
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function linesOf(times: readonly FileTime[]): readonly string[] {
  const lines = times
    .slice(0, SHOWN)
    .map(({ file, share }) => `${(100 * share).toFixed(1).padStart(6)}  ${file}`);
  return [...lines, ""];
}

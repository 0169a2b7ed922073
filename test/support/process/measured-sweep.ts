/** The built program as a process of its own, and what it cost. For tests and benches alike. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { Throwaway } from "../../services/throwaway.ts";

const LAST_WORDS = 4000;
const METER = join(import.meta.dirname, "meter.mjs");

export interface Cost {
  /** Resident memory at its highest. */
  readonly peakMb: number;
  /** Of all its threads, in the program and in the system for it, from the start of the process. */
  readonly cpuMs: number;
}

export interface Measured extends Cost {
  /** The report, as JSON. */
  readonly stdout: string;
}

export interface MeasureOptions {
  /** Of Node's own. */
  readonly nodeArgs?: readonly string[];
  /** Told its process id as soon as it runs. */
  readonly onSpawn?: (pid: number) => void;
}

/**
 * Sweeps once, with this environment and no other.
 *
 * @throws Error with what it said last when it prints no report.
 */
export async function measureSweep(
  program: string,
  env: Readonly<Record<string, string>>,
  { nodeArgs = [], onSpawn }: MeasureOptions = {},
): Promise<Measured> {
  const place = await Throwaway.create({ name: "run-watchdog-measured", stopSignal: "TERM" });
  try {
    const inFolder = (name: string) => join(place.folder, name);
    const cost = inFolder("cost");
    // Files, so that nobody has to keep up with reading while something is measured.
    await using report = await open(inFolder("report"), "w");
    await using said = await open(inFolder("said"), "w");
    const args = [...nodeArgs, "--import", METER, program, "once", "--output", "json"];
    const child = spawn(process.execPath, args, {
      cwd: place.folder,
      env: { ...env, METER_FILE: cost },
      stdio: ["ignore", report.fd, said.fd],
    });
    place.watch(child);
    if (child.pid !== undefined) onSpawn?.(child.pid);
    await once(child, "close");
    const stdout = await readFile(inFolder("report"), "utf8");
    if (stdout === "") {
      const last = (await readFile(inFolder("said"), "utf8")).slice(-LAST_WORDS);
      throw new Error(`the sweep printed no report. It said:\n${last}`);
    }
    const measured: Cost = JSON.parse(await readFile(cost, "utf8"));
    return { ...measured, stdout };
  } finally {
    await place.dispose();
  }
}

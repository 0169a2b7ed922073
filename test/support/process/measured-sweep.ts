/** The built program as a process of its own, and what it cost. For tests and benches alike. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { Throwaway } from "../../services/throwaway.ts";

const METER = join(import.meta.dirname, "peak-memory.ts");

export interface Measured {
  /** The report, as JSON. */
  readonly stdout: string;
  /** Resident memory at its highest. */
  readonly peakMb: number;
}

/** Sweeps once, with this environment and no other. */
export async function measureSweep(
  program: string,
  env: Readonly<Record<string, string>>,
): Promise<Measured> {
  const place = await Throwaway.create({ name: "run-watchdog-measured", stopSignal: "TERM" });
  try {
    const file = join(place.folder, "peak");
    const args = ["--import", METER, program, "once", "--output", "json"];
    const child = spawn(process.execPath, args, {
      cwd: place.folder,
      env: { ...env, PEAK_FILE: file },
      stdio: ["ignore", "pipe", "inherit"],
    });
    place.watch(child);
    const [stdout] = await Promise.all([text(child.stdout), once(child, "close")]);
    return { stdout, peakMb: Number(await readFile(file, "utf8")) };
  } finally {
    await place.dispose();
  }
}

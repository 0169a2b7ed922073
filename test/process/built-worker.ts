/** The worker as it is shipped: built into a folder of its own, run as a process, and measured. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import packageJson from "../../package.json" with { type: "json" };
import { Throwaway } from "../../src/demo/throwaway.ts";
import type { SweepReport } from "../../src/rules/report.ts";
import { parseDocument } from "../support/report-document.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const ROLLDOWN = join(ROOT, "node_modules", "rolldown", "bin", "cli.mjs");
const METER = join(import.meta.dirname, "peak-memory.ts");

export interface Measured {
  readonly report: SweepReport;
  /** Resident memory at its highest. */
  readonly peakMb: number;
}

/** Builds as `npm run build:main` does, but elsewhere: others may be building, too. */
export async function buildWorker(): Promise<BuiltWorker> {
  const place = await Throwaway.create({ name: "run-watchdog-built", stopSignal: "TERM" });
  try {
    const command = packageJson.scripts["build:main"].replace(
      "--dir dist",
      `--dir ${place.folder}`,
    );
    await promisify(execFile)(process.execPath, [ROLLDOWN, ...command.split(" ").slice(1)], {
      cwd: ROOT,
    });
    return new BuiltWorker(place, join(place.folder, "main.js"));
  } catch (error) {
    await place.dispose();
    throw error;
  }
}

export class BuiltWorker implements AsyncDisposable {
  readonly #place: Throwaway;
  readonly #main: string;

  constructor(place: Throwaway, main: string) {
    this.#place = place;
    this.#main = main;
  }

  /** Sweeps once, with this environment and no other. */
  async sweep(env: Readonly<Record<string, string>>): Promise<Measured> {
    const file = join(this.#place.folder, "peak");
    const args = ["--import", METER, this.#main, "once", "--output", "json"];
    const child = spawn(process.execPath, args, {
      cwd: this.#place.folder,
      env: { ...env, PEAK_FILE: file },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#place.watch(child);
    const [stdout] = await Promise.all([text(child.stdout), once(child, "close")]);
    return { report: parseDocument(stdout), peakMb: Number(await readFile(file, "utf8")) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#place.dispose();
  }
}

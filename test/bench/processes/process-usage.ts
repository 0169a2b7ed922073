import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { platform } from "node:os";
import { promisify } from "node:util";

/** What another process has used so far. */
export interface ProcessUsage {
  /** Of all its threads, from its start. Linux counts in hundredths of a second, others may in whole ones. */
  readonly cpuMs: number;
  /** Resident now. */
  readonly residentMb: number;
}

const TICK_MS = 10;

/** @throws Error when there is no such process. */
export async function usageOf(pid: number): Promise<ProcessUsage> {
  if (platform() !== "linux") return usageByPs(pid);
  const [stat, status] = await Promise.all(
    ["stat", "status"].map((file) => readFile(`/proc/${pid}/${file}`, "utf8")),
  );
  // The second field is a name, which may hold anything.
  const fields = (stat ?? "").slice((stat ?? "").lastIndexOf(")") + 2).split(" ");
  const residentKb = Number(/VmRSS:\s+(\d+) kB/.exec(status ?? "")?.[1]);
  return {
    cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS,
    residentMb: residentKb / 1024,
  };
}

async function usageByPs(pid: number): Promise<ProcessUsage> {
  const { stdout } = await promisify(execFile)("ps", ["-o", "time=,rss=", "-p", String(pid)]);
  const [time = "", rss = ""] = stdout.trim().split(/\s+/);
  return { cpuMs: parseCpuTime(time) * 1000, residentMb: Number(rss) / 1024 };
}

/** Seconds, from `[[dd-]hh:]mm:ss[.cc]`. */
export function parseCpuTime(text: string): number {
  const [, days = "0", clock = ""] = /^(?:(\d+)-)?([\d:.]+)$/.exec(text) ?? [];
  return clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0) + Number(days) * 86_400;
}

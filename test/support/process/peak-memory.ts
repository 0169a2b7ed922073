/** Loaded before a program: at its end, writes how much memory was resident at most, in MB, to the file PEAK_FILE. */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const file = process.env["PEAK_FILE"];
if (file !== undefined) process.once("exit", () => writeFileSync(file, String(peakMb())));

function peakMb(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS / 1024;
  // What the system calls the process's maximum includes, on Linux, the program that started it.
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

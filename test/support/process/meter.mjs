/**
 * Loaded before a program: at its end, writes what it cost to the file METER_FILE, as JSON. No TypeScript, because Node.js
 * keeps in memory what it needs to read it, and the program would be measured with it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const file = process.env["METER_FILE"];
if (file !== undefined) process.once("exit", () => writeFileSync(file, JSON.stringify(cost())));

function cost() {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  return { peakMb: peakMb(), cpuMs: (userCPUTime + systemCPUTime) / 1000 };
}

function peakMb() {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS / 1024;
  // What the system calls the process's maximum includes, on Linux, the program that started it.
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** The built worker as a process of its own, and what it cost. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

const MAIN = `${import.meta.dirname}/../../dist/main.js`;

export interface Swept {
  readonly report: {
    readonly durationMs: number;
    readonly counts: { readonly completed: number };
  };
  /** Resident memory at its highest; 0 where the system does not tell. */
  readonly peakMb: number;
}

export async function runWorkerOnce(
  databaseUrl: string,
  host: { readonly url: string; readonly serviceKey: string },
  settings: Readonly<Record<string, string>>,
): Promise<Swept> {
  const child = spawn(process.execPath, [MAIN, "once", "--output", "json"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      DATABASE_URL: databaseUrl,
      AUTOMATION_OPENHANDS_API_BASE_URL: host.url,
      AUTOMATION_SERVICE_KEY: host.serviceKey,
      ...settings,
    },
  });
  let text = "";
  let peakKb = 0;
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const sampling = setInterval(() => {
    peakKb = Math.max(peakKb, residentPeakKb(child.pid));
  }, 20);
  await once(child, "close");
  clearInterval(sampling);
  return { report: JSON.parse(text), peakMb: peakKb / 1024 };
}

/** What Linux counted itself, so nothing between two looks is missed. */
function residentPeakKb(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

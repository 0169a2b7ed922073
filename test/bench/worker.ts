import type { SweepReport } from "../../src/rules/report.ts";
import { measureSweep } from "../support/process/measured-sweep.ts";

const MAIN = `${import.meta.dirname}/../../dist/main.js`;

/** The built worker as a process of its own, and the most memory it had. */
export async function runWorkerOnce(
  databaseUrl: string,
  host: { readonly url: string; readonly serviceKey: string },
  settings: Readonly<Record<string, string>>,
): Promise<{ readonly report: SweepReport; readonly peakMb: number }> {
  const { stdout, peakMb } = await measureSweep(MAIN, {
    DATABASE_URL: databaseUrl,
    AUTOMATION_OPENHANDS_API_BASE_URL: host.url,
    AUTOMATION_SERVICE_KEY: host.serviceKey,
    ...settings,
  });
  return { report: JSON.parse(stdout), peakMb };
}

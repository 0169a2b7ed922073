import { join } from "node:path";
import type { SweepReport } from "../../../src/rules/report.ts";
import {
  type Cost,
  type MeasureOptions,
  measureSweep,
} from "../../support/process/measured-sweep.ts";

/** The built worker. */
export const PROGRAM = join(import.meta.dirname, "..", "..", "..", "dist", "main.js");

export interface MeasuredSweep extends Cost {
  readonly report: SweepReport;
}

/**
 * One sweep of the built worker, as a process of its own.
 *
 * @param expected how many runs it has to end; `null` where others end some of them.
 * @throws Error when it did not: there is nothing to measure then.
 */
export async function sweepOnce(
  env: Readonly<Record<string, string>>,
  expected: number | null,
  { program = PROGRAM, ...options }: MeasureOptions & { readonly program?: string } = {},
): Promise<MeasuredSweep> {
  const { stdout, ...cost } = await measureSweep(program, env, options);
  const report: SweepReport = JSON.parse(stdout);
  const ended = report.counts.completed + report.counts.failed;
  if (report.status !== "ok" || ended !== (expected ?? ended)) {
    const found = `${report.status}, ${ended} ended: ${report.message ?? "no message"}`;
    throw new Error(`the worker was to end ${expected ?? "its"} runs, found: ${found}`);
  }
  return { ...cost, report };
}

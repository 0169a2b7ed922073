import type { SweepReport } from "../rules/report.ts";

/** Exactly one document and a newline. */
export function jsonReport(report: SweepReport): string {
  return `${JSON.stringify(report)}\n`;
}

import type { SweepReport } from "../rules/report.ts";
import type { ProblemReport } from "./problems.ts";

/** Exactly one document and a newline. */
export function jsonReport(report: SweepReport | ProblemReport): string {
  return `${JSON.stringify(report)}\n`;
}

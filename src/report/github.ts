import type { SweepReport } from "../rules/report.ts";
import { humanReport } from "./human.ts";

const MAX_ANNOTATIONS = 10;

/** Workflow commands for GitHub Actions, then the report for people. Annotations name what somebody has to look at. */
export function githubReport(report: SweepReport): string {
  const annotations = report.runs
    .filter(({ action }) => action === "error")
    .slice(0, MAX_ANNOTATIONS)
    .map(({ runId, reason }) => command("error", `run ${runId}: ${reason ?? "error"}`));
  const text = humanReport(report);
  const [headline = ""] = text.split("\n", 1);
  return `${[...annotations, command(levelOf(report), headline)].join("\n")}\n${text}`;
}

/** Markdown for the job's summary page. */
export function githubSummary(report: SweepReport): string {
  return `### run-watchdog\n\n\`\`\`text\n${humanReport(report)}\`\`\`\n`;
}

function levelOf({ status }: SweepReport): "error" | "warning" | "notice" {
  switch (status) {
    case "ok":
      return "notice";
    case "error":
    case "unavailable":
      return "error";
    case "partial":
    case "held":
    case "lease-held":
    case "interrupted":
      return "warning";
  }
}

/** GitHub reads percent, carriage return and line feed as escapes. */
function command(level: "error" | "warning" | "notice", message: string): string {
  const escaped = message.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
  return `::${level} title=run-watchdog::${escaped}`;
}

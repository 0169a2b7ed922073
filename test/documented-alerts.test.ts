import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");

describe("the alerts of docs/operating.md", () => {
  it("are those of the rules, with their severity", () => {
    const rules = textOf("deploy", "prometheus", "alerts.yaml").matchAll(
      /- alert: RunWatchdog(\w+)\n(?:(?!- alert:)[\s\S])*?severity: (\w+)/g,
    );
    const declared = Array.from(rules, ([, name, severity]) => `${severity} ${name}`);
    const [, section = ""] = textOf("docs", "operating.md").split("\n## Alerts\n");
    const [table = ""] = section.split("\n## ");
    const rows = table.matchAll(/^\| (critical|warning) \| ([^|]+) \|/gm);
    const documented = Array.from(rows).flatMap(([, severity, names = ""]) =>
      Array.from(names.matchAll(/`(\w+)`/g), ([, name]) => `${severity} ${name}`),
    );
    expect(documented.toSorted()).toEqual(declared.toSorted());
    expect(declared.length).toBeGreaterThan(10);
  });
});

function textOf(...path: readonly string[]): string {
  return readFileSync(join(ROOT, ...path), "utf8");
}

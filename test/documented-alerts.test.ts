import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");

const RULES = textOf("deploy", "prometheus", "alerts.yaml").matchAll(
  /- alert: RunWatchdog(\w+)\n(?:(?!- alert:)[\s\S])*?severity: (\w+)/g,
);
const declared = Array.from(RULES, ([, name, severity]) => `${severity} ${name}`);

describe("the alerts of docs/operating.md", () => {
  it("are those of the rules, with their severity", () => {
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

describe("docs/alerts.md", () => {
  it("says of each alert what it means, what causes it and what to do", () => {
    const [, ...sections] = textOf("docs", "alerts.md").split("\n## ");
    const documented = sections.map((section) => {
      const parts =
        /^RunWatchdog(\w+)\n\n- \*\*Means\*\* \((\w+)\): .+\n- \*\*Cause\*\*: .+\n- \*\*Do\*\*: ./s;
      const [, name, severity] = parts.exec(section) ?? [];
      return `${severity} ${name}`;
    });
    expect(documented).toEqual(declared);
  });
});

function textOf(...path: readonly string[]): string {
  return readFileSync(join(ROOT, ...path), "utf8");
}

/** The alerts and the dashboard in deploy/ are about metrics that there are, and each alert is tried. */
import { readFileSync } from "node:fs";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  COUNTERS,
  type Definition,
  GAUGES,
  HISTOGRAMS,
} from "../../../src/io/metrics/definitions.ts";
import { findPromtool, promtool } from "../../services/promtool.ts";

const DEPLOY = join(import.meta.dirname, "..", "..", "..", "deploy");
const RULES = join(DEPLOY, "prometheus");

const rules = readFileSync(join(RULES, "alerts.yaml"), "utf8");
const trials = readFileSync(join(RULES, "alerts.test.yaml"), "utf8");
const dashboard = readFileSync(join(DEPLOY, "grafana", "run-watchdog.json"), "utf8");
const program = await findPromtool();

describe("the alert rules", () => {
  it("use only metrics and labels that there are", () => {
    expect(unknownIn(expressionsOf(rules))).toEqual([]);
    expect(unknownIn(trials)).toEqual([]);
  });

  it("are each tried with an outage that they fire for, and with a fleet that is well", () => {
    const names = allOf(rules, /- alert: (\w+)/g);
    expect(names.length).toBeGreaterThan(12);
    expect(allOf(trials, /eval_time: \d+m\n +alertname: (\w+)\n +exp_alerts:/g).toSorted()).toEqual(
      names.toSorted(),
    );
    const [, well = ""] = trials.split("- name: ");
    expect(allOf(well, /alertname: (\w+) }/g).toSorted()).toEqual(names.toSorted());
  });

  it.skipIf(program === null)("fire for their outages and not otherwise", async () => {
    if (program === null) return;
    expect(await promtool(program, ["check", "rules", "alerts.yaml"], RULES)).toContain("SUCCESS");
    const said = await promtool(program, ["test", "rules", "alerts.test.yaml"], RULES);
    expect(said).toContain("SUCCESS");
  });

  it.skipIf(program === null)("are loaded by the Prometheus of the compose file", async () => {
    if (program === null) return;
    // Side by side, as compose mounts them.
    const folder = await mkdtemp(join(tmpdir(), "run-watchdog-prometheus-"));
    try {
      await copyFile(join(DEPLOY, "compose", "prometheus.yaml"), join(folder, "prometheus.yml"));
      await copyFile(join(RULES, "alerts.yaml"), join(folder, "alerts.yaml"));
      const said = await promtool(program, ["check", "config", "prometheus.yml"], folder);
      expect(said).toContain("1 rule files found");
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("the dashboard", () => {
  it("shows only metrics and labels that there are, and leaves none out", () => {
    const { panels } = JSON.parse(dashboard) as { panels: readonly Panel[] };
    const shown = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join("\n");
    expect(unknownIn(shown)).toEqual([]);
    expect(new Set(metricsIn(shown))).toEqual(new Set(Object.keys(ALL)));
  });

  it("gives each panel an id and a place of its own", () => {
    const { panels } = JSON.parse(dashboard) as { panels: readonly Panel[] };
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const places = panels.map(({ gridPos: { x, y } }) => `${x} ${y}`);
    expect(new Set(places).size).toBe(panels.length);
  });
});

interface Panel {
  readonly id: number;
  readonly gridPos: { readonly x: number; readonly y: number };
  readonly targets?: readonly { readonly expr: string }[];
}

const ALL: Readonly<Record<string, Definition>> = {
  ...COUNTERS,
  ...HISTOGRAMS,
  ...GAUGES,
};

/** What Prometheus adds to every series, and to those of histograms. */
const ADDED = ["job", "instance", "le"];

function expressionsOf(text: string): string {
  return allOf(text, /^ +expr: (.*)$/gm).join("\n");
}

function metricsIn(text: string): readonly string[] {
  return allOf(text, /\b(watchdog_\w+)/g).map(nameOf);
}

/** A histogram has several series. */
function nameOf(series: string): string {
  const name = series.replace(/_(bucket|sum|count)$/, "");
  return Object.hasOwn(HISTOGRAMS, name) ? name : series;
}

function unknownIn(text: string): readonly string[] {
  const selectors = Array.from(text.matchAll(/\b(watchdog_\w+)(?:\{(.*?)\})?/g));
  expect(selectors.length).toBeGreaterThan(0);
  return selectors.flatMap(([, series = "", matchers = ""]) => {
    const known = ALL[nameOf(series)];
    if (known === undefined) return [series];
    const labels = allOf(matchers, /(\w+)(?:=|!=)"/g);
    const missing = labels.filter((label) => ![...(known.labels ?? []), ...ADDED].includes(label));
    return missing.map((label) => `${series}{${label}}`);
  });
}

function allOf(text: string, pattern: RegExp): readonly string[] {
  return Array.from(text.matchAll(pattern), ([, found = ""]) => found);
}

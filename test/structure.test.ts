/** The rooms of src/: what may import what, how large a room may get, and that docs/design.md shows them as they are. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  arrowsBetween,
  circlesIn,
  forbiddenArrows,
  readImports,
  roomSizes,
} from "./support/rooms.ts";
import { differences, linesIn, linesOf } from "./support/rooms-picture.ts";

const ROOT = join(import.meta.dirname, "..");

/** What the files below a folder of src/ may import besides each other. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  src: ["cli", "commands", "app", "config", "watchdog", "rules"],
  cli: ["commands", "config", "rules"],
  commands: ["app", "report", "config", "watchdog", "rules"],
  report: ["rules"],
  app: ["config", "io", "watchdog", "rules"],
  config: ["rules"],
  io: ["watchdog", "rules"],
  watchdog: ["rules"],
  rules: [],
};

/** A reader must be able to keep a room in mind. */
const MOST_FILES = 15;

describe("the rooms of src/", () => {
  const imports = readImports(join(ROOT, "src"));

  it("form no circle", () => {
    const circles = circlesIn(arrowsBetween(imports));
    expect(circles.map(({ from, to, example }) => `${from} -> ${to}: ${example}`)).toEqual([]);
  });

  it("import only what their layer may import", () => {
    const forbidden = forbiddenArrows(imports, LAYERS);
    expect(forbidden.map(({ from, to, example }) => `${from} -> ${to}: ${example}`)).toEqual([]);
  });

  it("hold at most 15 files each", () => {
    const full = [...roomSizes(imports)].filter(([, files]) => files > MOST_FILES);
    expect(full.map(([room, files]) => `${room}: ${files} files, split it`)).toEqual([]);
  });

  it("are shown in docs/design.md with their arrows, and nothing else is", () => {
    const design = readFileSync(join(ROOT, "docs", "design.md"), "utf8");
    expect(differences(linesIn(design), linesOf(imports))).toEqual([]);
  });
});

describe("docs/design.md", () => {
  it("says of every room what it is responsible for", () => {
    const design = readFileSync(join(ROOT, "docs", "design.md"), "utf8");
    const tables = design.split("\n").filter((line) => line.startsWith("| `"));
    const rooms = linesIn(design).flatMap((line) => /^\w+\["(.+)"\]$/.exec(line)?.[1] ?? []);
    expect(rooms.length).toBeGreaterThan(10);
    expect(rooms.filter((room) => !tables.some((row) => row.includes(`\`${room}\``)))).toEqual([]);
  });
});

describe("readImports", () => {
  it("finds the imports of this test tree's own kind of files", () => {
    const imports = readImports(join(ROOT, "src"));
    expect(imports.get("main.ts")).toEqual(["program.ts"]);
    expect(imports.get("program.ts")).toContain("commands/run.ts");
    expect(imports.get("index.ts")).toContain("watchdog/ports.ts");
  });
});

describe("circlesIn", () => {
  it("finds a circle over three rooms by each of its arrows", () => {
    const imports = new Map([
      ["a/one.ts", ["b/two.ts"]],
      ["b/two.ts", ["c/three.ts"]],
      ["c/three.ts", ["a/four.ts", "d/five.ts"]],
    ]);
    const circles = circlesIn(arrowsBetween(imports));
    expect(circles.map(({ example }) => example)).toEqual([
      "a/one.ts imports b/two.ts",
      "b/two.ts imports c/three.ts",
      "c/three.ts imports a/four.ts",
    ]);
  });

  it("finds none where files of one room import each other", () => {
    const imports = new Map([
      ["a/one.ts", ["a/two.ts"]],
      ["a/two.ts", ["a/one.ts", "b/three.ts"]],
    ]);
    expect(circlesIn(arrowsBetween(imports))).toEqual([]);
  });
});

describe("forbiddenArrows", () => {
  it("finds an import that leads upwards, from however deep", () => {
    const imports = new Map([["rules/cleanup/plan.ts", ["io/http/client.ts"]]]);
    expect(forbiddenArrows(imports, LAYERS)).toEqual([
      { from: "rules", to: "io", example: "rules/cleanup/plan.ts imports io/http/client.ts" },
    ]);
  });

  it("lets nothing be imported from a folder that no layer names", () => {
    const imports = new Map([["extras/one.ts", ["rules/model.ts"]]]);
    expect(forbiddenArrows(imports, LAYERS).map(({ from }) => from)).toEqual(["extras"]);
  });
});

describe("the picture of the rooms", () => {
  const imports = new Map([
    ["app/health.ts", ["io/http/client.ts", "io/log.ts"]],
    ["io/http/client.ts", ["rules/text.ts"]],
    ["io/openhands/cloud.ts", ["io/http/client.ts"]],
    ["io/log.ts", []],
    ["rules/text.ts", []],
  ]);
  const markdown = (lines: readonly string[]) =>
    `# Title\n\n\`\`\`mermaid\nflowchart TD\n${lines.map((line) => `  ${line}\n`).join("")}\`\`\`\n`;

  it("names top rooms, the rooms inside io/, and arrows on the level of both", () => {
    expect(linesOf(imports)).toEqual([
      'app["app"]',
      'subgraph all_io["io/"]',
      'io["io"]',
      'io_http["io/http"]',
      'io_openhands["io/openhands"]',
      "end",
      'rules["rules"]',
      "all_io --> rules",
      "app --> all_io",
      "io_openhands --> io_http",
    ]);
  });

  it("is true when it has these lines, in whatever order", () => {
    const shown = linesIn(markdown(linesOf(imports).toReversed()));
    expect(differences(shown, linesOf(imports))).toEqual([]);
  });

  it("is not true when it lacks a room or an arrow, and says which line to add", () => {
    const lacking = linesOf(imports).filter((line) => !line.includes("openhands"));
    expect(differences(linesIn(markdown(lacking)), linesOf(imports))).toEqual([
      'add    io_openhands["io/openhands"]',
      "add    io_openhands --> io_http",
    ]);
  });

  it("is not true when it shows a room or an arrow that is gone, and says which line to remove", () => {
    const more = [...linesOf(imports), 'attic["attic"]', "rules --> app"];
    expect(differences(linesIn(markdown(more)), linesOf(imports))).toEqual([
      'remove attic["attic"]',
      "remove rules --> app",
    ]);
  });
});

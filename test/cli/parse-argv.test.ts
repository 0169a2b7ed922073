import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { outputAsked, parseArgv } from "../../src/cli/parse-argv.ts";
import type { HistoryCommand, OnceCommand } from "../../src/commands/command.ts";

const ID = "0f5a1c9e-3b2d-4e6f-8a7b-123456789abc";
const OTHER = "1f5a1c9e-3b2d-4e6f-8a7b-123456789abc";

const ONCE: OnceCommand = {
  name: "once",
  dryRun: false,
  runIds: null,
  limit: null,
  waitMs: 0,
  overrideReason: null,
  output: "human",
};

const HISTORY: HistoryCommand = {
  name: "history",
  runId: null,
  sinceMs: null,
  basis: null,
  outcome: null,
  overturned: false,
  limit: 50,
  json: false,
};

interface Accepted {
  readonly args: string;
  readonly command: object;
}

const accepted: readonly Accepted[] = [
  { args: "", command: { name: "run" } },
  { args: "run", command: { name: "run" } },
  { args: "once", command: ONCE },
  { args: "once --dry-run", command: { ...ONCE, dryRun: true } },
  { args: `once --run ${ID}`, command: { ...ONCE, runIds: [ID] } },
  { args: `once --run ${ID} ${OTHER}`, command: { ...ONCE, runIds: [ID, OTHER] } },
  { args: `once --run ${ID} --run ${OTHER}`, command: { ...ONCE, runIds: [ID, OTHER] } },
  { args: `once --run ${ID.toUpperCase()}`, command: { ...ONCE, runIds: [ID] } },
  { args: `once --run ${ID.replaceAll("-", "")}`, command: { ...ONCE, runIds: [ID] } },
  { args: "once --limit 1", command: { ...ONCE, limit: 1 } },
  { args: "once --limit=2500", command: { ...ONCE, limit: 2500 } },
  { args: "once --wait 0s", command: { ...ONCE, waitMs: 0 } },
  { args: "once --wait 1500ms", command: { ...ONCE, waitMs: 1500 } },
  { args: "once --wait 5m", command: { ...ONCE, waitMs: 300_000 } },
  { args: "once --output json", command: { ...ONCE, output: "json" } },
  { args: "once --output github", command: { ...ONCE, output: "github" } },
  {
    args: `once --dry-run --run ${ID} --limit 3 --wait 30s --output json`,
    command: {
      name: "once",
      dryRun: true,
      runIds: [ID],
      limit: 3,
      waitMs: 30_000,
      overrideReason: null,
      output: "json",
    },
  },
  {
    args: "pause --for 2h --reason deploying",
    command: { name: "pause", forMs: 7_200_000, reason: "deploying", by: null },
  },
  {
    args: "pause --for 1s --reason x --by ann",
    command: { name: "pause", forMs: 1000, reason: "x", by: "ann" },
  },
  {
    args: "pause --for 7d --reason x",
    command: { name: "pause", forMs: 604_800_000, reason: "x", by: null },
  },
  { args: "resume", command: { name: "resume", by: null } },
  { args: "resume --by ann", command: { name: "resume", by: "ann" } },
  { args: "status", command: { name: "status", json: false } },
  { args: "status --json", command: { name: "status", json: true } },
  { args: `explain ${ID}`, command: { name: "explain", runId: ID, json: false } },
  { args: `explain --json ${OTHER}`, command: { name: "explain", runId: OTHER, json: true } },
  { args: "history", command: HISTORY },
  { args: "history --json --limit 1000", command: { ...HISTORY, json: true, limit: 1000 } },
  { args: "history --since 24h", command: { ...HISTORY, sinceMs: 86_400_000 } },
  { args: "history --since 36500d", command: { ...HISTORY, sinceMs: 36_500 * 86_400_000 } },
  {
    args: `history --run ${ID} --basis presumption --outcome failed --overturned`,
    command: {
      ...{ ...HISTORY, runId: ID, basis: "presumption", outcome: "FAILED", overturned: true },
    },
  },
  {
    args: "history --basis proof --outcome completed",
    command: { ...HISTORY, basis: "proof", outcome: "COMPLETED" },
  },
  { args: "migrate", command: { name: "migrate", check: false, withHostTables: false } },
  {
    args: "migrate --check --with-host-tables",
    command: { name: "migrate", check: true, withHostTables: true },
  },
  { args: "migrate --print-grants w-d", command: { name: "grants", role: "w-d" } },
  { args: "doctor", command: { name: "doctor", json: false } },
  { args: "doctor --json", command: { name: "doctor", json: true } },
  { args: "config", command: { name: "config", json: false } },
  { args: "config --json", command: { name: "config", json: true } },
];

/** Each complaint names the flag, and what was found or expected. */
const refused: readonly { readonly args: string; readonly says: readonly string[] }[] = [
  { args: "onse", says: ["unknown command 'onse'", "Did you mean once?"] },
  { args: "help onse", says: ["unknown command 'onse'", "Did you mean once?"] },
  { args: "hlep", says: ["unknown command 'hlep'", "Did you mean help?"] },
  { args: "verison", says: ["unknown command 'verison'", "Did you mean version?"] },
  { args: "migrat", says: ["unknown command 'migrat'", "Did you mean migrate?"] },
  { args: "migrate --print-grants", says: ["--print-grants <role>", "argument missing"] },
  { args: "migrate --print-grants=", says: ["--print-grants <role>", "name of a database role"] },
  { args: "migrate --print-grants r --check", says: ["--print-grants <role>", "--check"] },
  { args: "sweep", says: ["unknown command 'sweep'"] },
  { args: "--dry-run", says: ["unknown option '--dry-run'"] },
  { args: "once --dryrun", says: ["unknown option '--dryrun'", "Did you mean --dry-run?"] },
  { args: "run --once", says: ["unknown option '--once'"] },
  { args: "once extra", says: ["too many arguments", "once"] },
  { args: "run now", says: ["too many arguments", "run"] },
  { args: "once --run", says: ["--run <id...>", "argument missing"] },
  { args: "once --run 17", says: ["--run <id...>", "'17'", "a run's id, a UUID"] },
  { args: `once --run ${ID} x`, says: ["--run <id...>", "'x'", "UUID"] },
  { args: `once --run ${ID}0`, says: ["--run <id...>", `'${ID}0'`, "UUID"] },
  { args: "pause --for 2h", says: ["--reason <text>"] },
  { args: "pause --reason x", says: ["--for <duration>"] },
  { args: "pause --for 999ms --reason x", says: ["'999ms'", "from 1s to 7d"] },
  { args: "pause --for 8d --reason x", says: ["'8d'", "from 1s to 7d"] },
  { args: "pause --for long --reason x", says: ["'long'", "from 1s to 7d"] },
  { args: `pause --for 1h --reason ${"x".repeat(201)}`, says: ["say why", "200 characters"] },
  { args: "once --limit 0", says: ["--limit <n>", "'0'", "at least 1"] },
  { args: "once --limit -1", says: ["--limit <n>"] },
  { args: "once --limit 1.5", says: ["--limit <n>", "'1.5'", "whole number"] },
  { args: "once --limit 1e3", says: ["--limit <n>", "'1e3'", "whole number"] },
  { args: "once --limit 9007199254740993", says: ["--limit <n>", "whole number"] },
  { args: "once --limit ten", says: ["--limit <n>", "'ten'", "whole number"] },
  { args: "once --wait 5", says: ["--wait <duration>", "'5'", "30s or 5m"] },
  { args: "once --wait soon", says: ["--wait <duration>", "'soon'", "30s or 5m"] },
  { args: "once --output yaml", says: ["--output <format>", "'yaml'", "human, json, github"] },
  { args: "explain", says: ["missing required argument 'run-id'"] },
  { args: "explain 17", says: ["run-id", "'17'", "a run's id, a UUID"] },
  { args: `explain ${ID} ${OTHER}`, says: ["too many arguments", "explain"] },
  { args: "history --limit 1001", says: ["--limit <n>", "'1001'", "at most 1000"] },
  { args: "history --limit 0", says: ["--limit <n>", "'0'", "at least 1"] },
  { args: "history --since 36501d", says: ["--since <duration>", "at most 36500d"] },
  { args: "history --since 0s", says: ["--since <duration>", "'0s'", "24h or 7d"] },
  { args: "history --since today", says: ["--since <duration>", "24h or 7d"] },
  { args: "history --basis host", says: ["--basis <basis>", "proof, presumption"] },
  { args: "history --outcome dead", says: ["--outcome <outcome>", "completed, failed"] },
  { args: "history --run x", says: ["--run <id>", "'x'", "UUID"] },
  { args: "once --json", says: ["'--json'", "Did you mean --output json?", "help once"] },
  { args: "doctor --output json", says: ["'--output'", "Did you mean --json?", "help doctor"] },
  { args: "history --output=json", says: ["'--output=json'", "Did you mean --json?"] },
  { args: "--json status", says: ["'--json'", "options come after the command: status --json"] },
  { args: "pause", says: ["--for <duration>", "see run-watchdog help pause"] },
  { args: "once status", says: ["too many arguments", "one command at a time"] },
  { args: "help once run", says: ["too many arguments", "one command at a time"] },
  { args: "version now", says: ["too many arguments", "see run-watchdog --help"] },
  { args: "version --json", says: ["unknown option '--json'"] },
  { args: "migrate --checks", says: ["unknown option '--checks'", "Did you mean --check?"] },
];

/** The empty one is the program itself. */
const COMMANDS = [
  ...["", "run", "once", "migrate", "healthcheck", "explain", "history"],
  ...["doctor", "config", "pause", "resume", "status"],
];

describe("outputAsked", () => {
  for (const { args, output } of [
    { args: "once", output: "human" },
    { args: "once --output json", output: "json" },
    { args: "once --output=github", output: "github" },
    { args: "once --output json --output github", output: "github" },
    { args: "once --output yaml", output: "human" },
    { args: "once --limit x --output json", output: "json" },
    { args: "once --output", output: "human" },
    { args: "explain --json", output: "json" },
  ]) {
    it(`is ${output} for "${args}"`, () => {
      expect(outputAsked(args.split(" "))).toBe(output);
    });
  }
});

describe("parseArgv", () => {
  for (const { args, command } of accepted) {
    it(`understands "${args}"`, () => {
      expect(parse(args)).toEqual({ kind: "command", command });
    });
  }

  for (const { args, says } of refused) {
    it(`refuses "${args}"`, () => {
      const parsed = parse(args);
      if (parsed.kind !== "text") throw new Error("it was accepted");
      expect(parsed.exitCode).toBe(2);
      for (const part of says) expect(parsed.text).toContain(part);
      expect(parsed.text).toMatch(/\n\(see run-watchdog (--help|help [a-z]+)\)\n$/);
    });
  }

  for (const args of ["--version", "-v", "version"]) {
    it(`prints the version alone for "${args}"`, () => {
      expect(parse(args)).toEqual({ kind: "text", text: "1.2.3\n", exitCode: 0 });
    });
  }

  for (const args of ["help", "help once", "help migrate"]) {
    it(`prints for "${args}" what the option prints`, () => {
      const [, name = ""] = args.split(" ");
      expect(helpOf(args)).toBe(helpOf(`${name} --help`.trim()));
    });
  }

  for (const command of COMMANDS) {
    it(`explains "${command}" with examples that it understands, within 80 columns`, () => {
      const help = helpOf(`${command} --help`.trim());
      expect(help.split("\n").filter((line) => line.length > 80)).toEqual([]);
      expect(help).toMatch(/^Exit codes:/m);
      expect(help).not.toMatch(/default: false|\n\n$/);
      const examples = Array.from(help.matchAll(/^ {2}run-watchdog (.*)$/gm), ([, args]) => args);
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) {
        const [args = ""] = (example ?? "").split(" | ");
        const words = Array.from(args.matchAll(/"([^"]*)"|(\S+)/g), ([, a, b]) => a ?? b ?? "");
        expect(parseArgv(words, "1.2.3"), args).not.toMatchObject({ exitCode: 2 });
      }
    });
  }

  it("says what is wrong with the arguments in one line as well", () => {
    expect(parse("once --dryrun")).toMatchObject({
      exitCode: 2,
      problems: ["unknown option '--dryrun' (Did you mean --dry-run?)"],
    });
  });

  it("lists every command and every exit code in its help", () => {
    const help = helpOf("--help");
    for (const command of ["run", "once", "migrate", "doctor", "config", "healthcheck"]) {
      expect(help).toMatch(new RegExp(`^  ${command}\\b`, "m"));
    }
    for (const code of [0, 1, 2, 3, 4, 69, 75, 143]) {
      expect(help).toMatch(new RegExp(`^  ${code} `, "m"));
    }
    expect(help).toContain("130");
  });

  for (const [command, codes] of [
    ["explain", [0, 2, 3, 69]],
    ["history", [0, 2, 69]],
  ] as const) {
    it(`shows examples and every exit code in the help of ${command}`, () => {
      const help = helpOf(`${command} --help`);
      expect(help).toMatch(new RegExp(`^  run-watchdog ${command} `, "m"));
      for (const code of codes) expect(help).toMatch(new RegExp(`^  ${code} `, "m"));
      for (const line of help.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    });
  }

  it("lists every flag in the help of once", () => {
    const help = helpOf("once --help");
    for (const flag of ["--dry-run", "--run", "--limit", "--wait", "--output"]) {
      expect(help).toContain(flag);
    }
    expect(help).toContain("--override-guard <reason>");
  });

  it.each(["doctor", "config"])("has examples and exit codes in the help of %s", (command) => {
    const help = helpOf(`${command} --help`);
    expect(help).toContain(`run-watchdog ${command} --json | jq`);
    expect(help).toMatch(/^ {2}0 {4}/m);
    expect(help).toMatch(/^ {2}2 {4}/m);
  });

  it("keeps the words of an override's reason, without what a journal cannot hold", () => {
    const argv = ["once", "--override-guard", " the cluster\0 was rebuilt "];
    expect(parseArgv(argv, "1.2.3")).toEqual({
      kind: "command",
      command: { ...ONCE, overrideReason: "the cluster was rebuilt" },
    });
  });

  for (const reason of ["", "  ", "\0"]) {
    it(`refuses an override without a reason: ${JSON.stringify(reason)}`, () => {
      const parsed = parseArgv(["once", "--override-guard", reason], "1.2.3");
      expect(parsed).toMatchObject({ kind: "text", exitCode: 2 });
      expect(parsed.kind === "text" && parsed.text).toContain("must say why");
    });
  }
});

function parse(args: string) {
  return parseArgv(args === "" ? [] : args.split(" "), "1.2.3");
}

function helpOf(args: string): string {
  const parsed = parse(args);
  expect(parsed).toMatchObject({ kind: "text", exitCode: 0 });
  return parsed.kind === "text" ? parsed.text : "";
}

describe("parseArgv of what is shown in one line everywhere", () => {
  const reasonOf = (reason: string) => parseArgv(["pause", "--for", "1h", "--reason", reason], "1");

  it("makes one line of it, without what no database holds", () => {
    expect(reasonOf(" moving\n\tthe\u2028API\0 ")).toMatchObject({
      command: { reason: "moving the API" },
    });
  });

  it("refuses an empty one", () => {
    expect(reasonOf(" \n ")).toMatchObject({ kind: "text", exitCode: 2 });
  });
});

describe("README.md", () => {
  const readme = readFileSync(join(import.meta.dirname, "..", "..", "README.md"), "utf8");
  const [, table = ""] = readme.split("| command, as `run-watchdog ...` | what it does |\n");
  const examples = Array.from(table.matchAll(/^\| `([^`]+)` \|/gm), ([, args = ""]) => args);

  it("has an example of every command that the program understands", () => {
    const listed = helpOf("--help").matchAll(/^ {2}([a-z]+)(?: \[| {2})/gm);
    const commands = Array.from(listed, ([, name = ""]) => name);
    const shown = examples.map((args) => args.split(" ", 1)[0] ?? "");
    expect(shown.toSorted()).toEqual(
      commands.filter((name) => name !== "help" && name !== "version").toSorted(),
    );
    for (const args of examples) {
      const words = Array.from(args.matchAll(/"([^"]*)"|(\S+)/g), ([, a, b]) => a ?? b ?? "");
      expect(parseArgv(words, "1.2.3"), args).toMatchObject({ kind: "command" });
    }
  });
});

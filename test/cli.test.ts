import { describe, expect, it } from "vitest";
import { parseArgv } from "../src/cli.ts";
import type { OnceCommand } from "../src/commands/command.ts";

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
  { args: "migrate", command: { name: "migrate", check: false, withHostTables: false } },
  {
    args: "migrate --check --with-host-tables",
    command: { name: "migrate", check: true, withHostTables: true },
  },
];

/** Each complaint names the flag, and what was found or expected. */
const refused: readonly { readonly args: string; readonly says: readonly string[] }[] = [
  { args: "onse", says: ["unknown command 'onse'", "Did you mean once?"] },
  { args: "migrat", says: ["unknown command 'migrat'", "Did you mean migrate?"] },
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
  { args: "once --limit 0", says: ["--limit <n>", "'0'", "at least 1"] },
  { args: "once --limit -1", says: ["--limit <n>"] },
  { args: "once --limit 1.5", says: ["--limit <n>", "'1.5'", "whole number"] },
  { args: "once --limit 1e3", says: ["--limit <n>", "'1e3'", "whole number"] },
  { args: "once --limit 9007199254740993", says: ["--limit <n>", "whole number"] },
  { args: "once --limit ten", says: ["--limit <n>", "'ten'", "whole number"] },
  { args: "once --wait 5", says: ["--wait <duration>", "'5'", "30s or 5m"] },
  { args: "once --wait soon", says: ["--wait <duration>", "'soon'", "30s or 5m"] },
  { args: "once --output yaml", says: ["--output <format>", "'yaml'", "human, json, github"] },
  { args: "migrate --checks", says: ["unknown option '--checks'", "Did you mean --check?"] },
];

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
      expect(parsed.text).toContain("see run-watchdog --help");
    });
  }

  it("prints the version alone", () => {
    expect(parse("--version")).toEqual({ kind: "text", text: "1.2.3\n", exitCode: 0 });
  });

  it("lists every command and every exit code in its help", () => {
    const help = helpOf("--help");
    for (const command of ["run", "once", "migrate", "healthcheck"]) {
      expect(help).toMatch(new RegExp(`^  ${command}\\b`, "m"));
    }
    for (const code of [0, 1, 2, 3, 4, 69, 75, 143]) {
      expect(help).toMatch(new RegExp(`^  ${code} `, "m"));
    }
    expect(help).toContain("130");
  });

  it("lists every flag in the help of once", () => {
    const help = helpOf("once --help");
    for (const flag of ["--dry-run", "--run", "--limit", "--wait", "--output"]) {
      expect(help).toContain(flag);
    }
    expect(help).toContain("--override-guard <reason>");
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

/** What a person sees of the shipped program: on a terminal, in a pipe, and with NO_COLOR. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, inject, it } from "vitest";
import { runOnce } from "../support/process/worker-process.ts";
import { createWorld, type World } from "../support/world/world.ts";

/** util-linux's program runs another one on a terminal of its own; others of this name take other arguments. */
const SCRIPT = "/usr/bin/script";
const HAS_SCRIPT = process.platform === "linux" && existsSync(SCRIPT);

const GREEN = "\u001b[32m";
const YELLOW = "\u001b[33m";
/** What begins a colour; the cursor is moved with NO_COLOR as well. */
const COLOURS = [31, 32, 33, 34, 35, 36, 37, 39, 90].map((code) => `\u001b[${code}m`);

describe.runIf(HAS_SCRIPT)("once on a terminal", () => {
  for (const args of ["once", "once --output human --dry-run"]) {
    it(`colours its report and its log: ${args}`, async () => {
      await using world = await worldWithOne();
      const shown = await onTerminal({ ...world.env, ...PRETTY }, args);
      expect(shown).toContain(`${GREEN}${args.includes("dry") ? "dry run" : "swept"}`);
      expect(shown).toContain(`${YELLOW}WARN`);
    });
  }

  it("leaves the news to the report, unless more is asked of the log", async () => {
    await using world = await worldWithOne();
    expect(await onTerminal(world.env, "once")).not.toContain("run ended");
    await world.seed({}, { status: "MISSING" });
    const shown = await onTerminal({ ...world.env, LOG_LEVEL: "debug" }, "once");
    expect(shown).toContain("run ended");
  });

  it("colours nothing where NO_COLOR is set, and says the same", async () => {
    await using world = await worldWithOne();
    const shown = await onTerminal({ ...world.env, ...PRETTY, NO_COLOR: "1" }, "once --dry-run");
    expect(COLOURS.filter((colour) => shown.includes(colour))).toEqual([]);
    expect(shown).toContain("WARN");
    expect(shown).toContain("judged 1 stale run in ");
  });

  it("stays within 80 columns", async () => {
    await using world = await worldWithOne();
    const env = { ...world.env, LOG_LEVEL: "silent" };
    for (const [vars, args] of [
      [env, "once --dry-run"],
      [env, "help"],
      [env, "help once"],
      [{}, "once"],
    ] as const) {
      const lines = stripVTControlCharacters(await onTerminal(vars, args)).split(/\r?\n/);
      expect(lines.length).toBeGreaterThan(1);
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
    }
  });
});

describe.runIf(HAS_SCRIPT)("other commands on a terminal", () => {
  const LONG = "the sandbox API is being moved to another cluster, ask before you resume: ".repeat(
    2,
  );
  it("stay within 80 columns, whatever they have to say", async () => {
    await using world = await worldWithOne();
    const { id } = await world.seed({}, { status: "MISSING" });
    const env = { ...world.env, LOG_LEVEL: "silent" };
    const holding = { ...env, WATCHDOG_GUARD_MIN: "0", WATCHDOG_GUARD_RATIO: "0" };
    const broken = { ...env, AUTOMATION_SERVICE_KEY: "wrong", REDIS_URL: "redis://127.0.0.1:1" };
    const away = { ...env, DATABASE_URL: "postgres://u:p@127.0.0.1:1/a-database-with-a-long-name" };
    const unusable = { ...env, WATCHDOG_DEFER: "soon" };
    for (const [vars, args] of [
      [env, "status"],
      [env, "history"],
      [env, `explain ${id}`],
      [env, `explain ${id.replace(/^./, "0")}`],
      [holding, "once"],
      [holding, "status"],
      [holding, `explain ${id}`],
      [env, `pause --for 2h --reason "${LONG}"`],
      [env, "status"],
      [env, "doctor"],
      [env, "resume"],
      [holding, `once --run ${id} --override-guard "${LONG}"`],
      [env, "history"],
      [env, `explain ${id}`],
      [broken, "doctor"],
      [unusable, "doctor"],
      [unusable, "config"],
      [away, "status"],
      [away, "doctor"],
      [env, "explain 17"],
      [env, "once status"],
    ] as const) {
      const lines = stripVTControlCharacters(await onTerminal(vars, args)).split(/\r?\n/);
      expect(lines.length, args).toBeGreaterThan(1);
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
    }
  });
});

describe("once in a pipe", () => {
  it("colours neither its report nor a readable log, also where a CI says that it shows colours", async () => {
    await using world = await worldWithOne();
    const env = { ...world.env, ...PRETTY, CI: "true", GITHUB_ACTIONS: "true", FORCE_COLOR: "1" };
    const { stdout, stderr } = await runOnce(env, ["once"]);
    expect(stdout).toContain("swept 1 stale run in ");
    expect(stderr).toContain("WARN");
    expect(stderr).toContain("run ended");
    expect(COLOURS.filter((colour) => `${stdout}${stderr}`.includes(colour))).toEqual([]);
  });
});

/** With something to warn of, so that there is a line. */
const PRETTY = { LOG_FORMAT: "pretty", TERM: "xterm-256color", WATCHDOG_OTHER: "x" };

async function worldWithOne(): Promise<World> {
  const world = await createWorld();
  await world.seed({}, { status: "MISSING" });
  return world;
}

/** Everything that the program writes to a terminal, whichever stream it is. */
async function onTerminal(env: Readonly<Record<string, string>>, args: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const command = `"${process.execPath}" "${inject("program")}" ${args}`;
  const child = execFile(SCRIPT, ["-qec", command, "/dev/null"], { env }, (_error, stdout) =>
    resolve(stdout),
  );
  child.stdin?.end();
  return await promise;
}

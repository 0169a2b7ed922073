import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import "../services/provided.ts";

const MAIN = join(import.meta.dirname, "main.ts");
const DEMO_WITHIN_MS = 300_000;

/** What a user may have set for a deployment of their own; the demo's world must not hear of it. */
const SETTINGS_OF_THE_USER = {
  DATABASE_URL: "postgres://nobody@127.0.0.1:1/nothing",
  REDIS_URL: "redis://127.0.0.1:1",
  WATCHDOG_SCHEDULE: "never",
  http_proxy: "http://127.0.0.1:1",
};

let temporary: string;
let running: ChildProcess | null;

beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), "demo-test-"));
  // The account that runs PostgreSQL for root has to get in.
  await chmod(temporary, 0o755);
  running = null;
});

afterEach(async () => {
  running?.kill("SIGKILL");
  await rm(temporary, { recursive: true, force: true });
});

describe("demo", () => {
  it(
    "shows every action, checks itself and ends by itself, leaving nothing behind",
    async () => {
      const demo = start("--runs", "60");
      expect(await demo.exit).toEqual({ code: 0, signal: null });
      const { text } = demo;
      for (const action of ACTIONS) expect(countOf(text, action), action).toBeGreaterThan(0);
      expect(text).toMatch(
        / {2}error +\d+ {3}the write had no effect \(trigger or row security\)\n/,
      );
      expect(text).toMatch(/[AB] is killed in the middle of its sweep/);
      expect(text).toMatch(/[AB] took over \d+\.\d s after that \(epoch 2\)/);
      expect(text).toMatch(/ \d+ held/);
      expect(text).toMatch(/ {2}all 50 are held and stay RUNNING\. \/health of [A-C] says:\n/);
      expect(text).toMatch(
        /\n {10}\| degraded, holding: a mass: 50 presumptions, \d+ runs answered\n/,
      );
      expect(text).toMatch(/\n {10}\| {3}failed +50 +set to FAILED\n/);
      expect(text).toMatch(
        / {2}failed +\d+ {3}\d+ proven by an exit code, \d+ presumed, 50 by override\n/,
      );
      expect(text).toMatch(/ {2}stopped all at once +50 +- +50 +- +-\n/);
      expect(text.match(/^ {2}ok /gm)).toHaveLength(10);
      expect(text).not.toContain("FAIL ");
      expect(text).not.toContain("\u001b");
      // How the program is called is as long as it is.
      const lines = text.split("\n").filter((line) => !line.includes(inject("program")));
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
      await expectNothingLeft(demo);
    },
    DEMO_WITHIN_MS,
  );

  it(
    "stays up with --keep and shows how to reach it, until it is interrupted",
    async () => {
      const demo = start("--runs", "20", "--keep");
      await demo.until(/Everything stays up until Ctrl-C/);
      await demo.until(/kill -9/);
      const [, healthUrl = ""] = /(http:\S+\/health)/.exec(demo.text) ?? [];
      expect(await (await fetch(healthUrl)).json()).toHaveProperty("status");
      const [, envFile = ""] = /^ {2}\. (\S+)$/m.exec(demo.text) ?? [];
      const [, url = ""] = /^ {2}# (postgres:\S+)$/m.exec(demo.text) ?? [];
      expect(await readFile(envFile, "utf8")).toContain(`export DATABASE_URL='${url}'\n`);
      running?.kill("SIGINT");
      expect(await demo.exit).toEqual({ code: 0, signal: null });
      await expectNothingLeft(demo);
    },
    DEMO_WITHIN_MS,
  );

  for (const { moment, line } of [
    { moment: "while PostgreSQL starts", line: /starting PostgreSQL/ },
    { moment: "while the tables are created", line: /creating the tables/ },
    { moment: "while the watchdogs start", line: /runs are there/ },
    { moment: "between the leader's end and the takeover", line: /is killed in the middle/ },
  ]) {
    it(
      `tidies up when it is terminated ${moment}`,
      async () => {
        const demo = start("--runs", "20");
        await demo.until(line);
        running?.kill("SIGTERM");
        expect(await demo.exit).toEqual({ code: 143, signal: null });
        expect(demo.text).toContain("stopped by SIGTERM");
        await expectNothingLeft(demo);
      },
      DEMO_WITHIN_MS,
    );
  }

  it(
    "leaves nothing behind when it is killed itself",
    async () => {
      const demo = start("--runs", "20");
      await demo.until(/has the lease/);
      running?.kill("SIGKILL");
      expect(await demo.exit).toEqual({ code: null, signal: "SIGKILL" });
      await expectNothingLeft(demo);
    },
    DEMO_WITHIN_MS,
  );

  it(
    "takes a signal that arrives twice at the same moment for one",
    async () => {
      const demo = start("--runs", "20");
      await demo.until(/runs are there/);
      running?.kill("SIGINT");
      running?.kill("SIGINT");
      expect(await demo.exit).toEqual({ code: 130, signal: null });
      expect(demo.text).toContain("stopped by SIGINT, and nothing is left behind");
      await expectNothingLeft(demo);
    },
    DEMO_WITHIN_MS,
  );

  it(
    "ends at once with a second signal, and what it started ends all the same",
    async () => {
      const demo = start("--runs", "20");
      await demo.until(/watchdogs A/);
      // Does not hear that it should stop.
      process.kill(Number(/A \(pid (\d+)\)/.exec(demo.text)?.[1]), "SIGSTOP");
      const again = setInterval(() => running?.kill("SIGINT"), 50);
      expect(await demo.exit).toEqual({ code: 130, signal: null });
      clearInterval(again);
      expect(demo.text).not.toContain("nothing is left behind");
      await expectNothingLeft(demo);
    },
    DEMO_WITHIN_MS,
  );

  it(
    "stops when nobody reads what it prints, and says so",
    async () => {
      const demo = start("--runs", "20");
      await demo.until(/starting PostgreSQL/);
      running?.stdout?.destroy();
      expect(await demo.exit).toEqual({ code: 1, signal: null });
      expect(demo.text).toMatch(
        /^demo: stdout cannot be written \(.*EPIPE.*\), so it was stopped$/m,
      );
      expect(demo.text).not.toContain("is killed in the middle");
      await expectNothingLeft(demo);
    },
    DEMO_WITHIN_MS,
  );
});

describe("demo that cannot begin", () => {
  for (const runs of ["19", "2001"]) {
    it(`refuses ${runs} runs and names the limits`, async () => {
      const demo = start("--runs", runs);
      expect(await demo.exit).toEqual({ code: 2, signal: null });
      expect(demo.text).toBe(
        `demo: --runs must be from 20 (a run of each kind) to 2000, got ${runs}\n`,
      );
    });
  }

  for (const { name, args, says } of [
    { name: "refuses runs that are no number", args: ["--runs", "many"], says: 'got "many"' },
    { name: "refuses an option that there is not", args: ["--kep"], says: "'--kep'" },
    { name: "refuses what is no option", args: ["60"], says: "'60'" },
  ]) {
    it(`${name}, and shows how it is called`, async () => {
      const demo = start(...args);
      expect(await demo.exit).toEqual({ code: 2, signal: null });
      expect(demo.text).toMatch(/^demo: /);
      expect(demo.text).toContain(says);
      expect(demo.text).toContain("Usage: npm run demo -- [options]\n");
    });
  }

  it("says how to build the worker when it is not there", async () => {
    const demo = start("--program", join(temporary, "nothing.js"));
    expect(await demo.exit).toEqual({ code: 2, signal: null });
    expect(demo.text).toBe(
      `demo: the built worker is not there: ${temporary}/nothing.js; build it with: npm run build\n`,
    );
  });

  it("shows its options in lines of at most 80 columns", async () => {
    const demo = start("--help");
    expect(await demo.exit).toEqual({ code: 0, signal: null });
    for (const option of ["--runs", "--keep", "--program", "--image", "--help"]) {
      expect(demo.text).toContain(`\n  ${option} `);
    }
    expect(demo.text.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });
});

const ACTIONS = [
  "completed",
  "failed",
  "deferred",
  "suspected",
  "held",
  "undetermined",
  "lost-race",
  "busy",
  "error",
  "skipped",
];

function countOf(text: string, action: string): number {
  return Number(new RegExp(`^ {2}${action} +(\\d+) {3}`, "m").exec(text)?.[1] ?? 0);
}

interface Demo {
  /** What it has printed so far. */
  readonly text: string;
  readonly exit: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** Settles when a printed line matches. */
  until(line: RegExp): Promise<void>;
}

function start(...args: readonly string[]): Demo {
  const child = spawn(process.execPath, [MAIN, "--program", inject("program"), ...args], {
    env: { PATH: process.env["PATH"], ...SETTINGS_OF_THE_USER, TMPDIR: temporary },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running = child;
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const exit = once(child, "close").then(([code, signal]) => ({ code, signal }));
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      for (const look of waiting) look();
    });
  }
  const demo = {
    get text() {
      return lines.map((line) => `${line}\n`).join("");
    },
    exit,
    async until(line: RegExp) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = () => void (lines.some((text) => line.test(text)) && resolve());
      waiting.add(look);
      look();
      const ended = exit.then(() => {
        throw new Error(`the demo ended before it said ${line}:\n${demo.text}`);
      });
      await Promise.race([promise, ended]);
      ended.catch(() => undefined);
      waiting.delete(look);
    },
  };
  return demo;
}

/** Processes die and folders go a moment after a demo that was killed. */
async function expectNothingLeft(demo: Demo): Promise<void> {
  const pids = [...demo.text.matchAll(/\(pid (\d+)\)/g)].map(([, pid]) => Number(pid));
  await expect.poll(() => readdir(temporary), { timeout: 90_000 }).toEqual([]);
  await expect.poll(() => pids.filter(isAlive), { timeout: 90_000 }).toEqual([]);
  await expect.poll(processesHere, { timeout: 90_000 }).toEqual([]);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Every process of the demo's has the folder in its arguments or in its environment. */
async function processesHere(): Promise<readonly string[]> {
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const files = ["cmdline", "environ"].map((file) =>
        readFile(join("/proc", pid, file), "utf8").catch(() => ""),
      );
      return (await Promise.all(files)).join("\n").includes(temporary) ? [pid] : [];
    }),
  );
  return found.flat();
}

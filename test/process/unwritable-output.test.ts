/** What a command prints and nobody can take: a disk that is full or fills up, a reader that went away. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { text } from "node:stream/consumers";
import { describe, expect, inject, it, vi } from "vitest";
import { seedRuns } from "../fake-host/seed.ts";
import { freePort } from "../services/free-port.ts";
import { Throwaway } from "../services/throwaway.ts";
import { holdPostgresLease } from "../support/process/held-lease.ts";
import { parseDocument } from "../support/process/report-document.ts";
import { createWorld } from "../support/world/world.ts";

const FULL = "run-watchdog: stdout could not be written: ENOSPC: no space left on device, write";

type Env = Readonly<Record<string, string>>;

describe("once whose report cannot be written", () => {
  for (const output of ["human", "json", "github"]) {
    it(`says so and exits with 1, as ${output}, and the sweep has been`, async () => {
      await using world = await createWorld();
      const { id } = await world.seed({}, { status: "MISSING" });
      const { code, stderr } = await shell(world.env, '"$@" > /dev/full', [
        ...["once", "--output", output],
      ]);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: expect.stringContaining(`${FULL} (the command itself ended with exit code 0)\n`),
      });
      expect((await world.row(id)).status).toBe("FAILED");
    });
  }

  it("exits with 1 when the disk fills up half way", async () => {
    await using world = await createWorld();
    const runs = Array.from({ length: 1000 }, () => ({ sandboxId: null }));
    await seedRuns(world.database.sql, runs);
    // A limit on the size of files takes what fits, as a disk does, and refuses the rest.
    const { code, stderr } = await shell(world.env, 'ulimit -f 32; "$@" > report', [
      ...["once", "--output", "json"],
    ]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("EFBIG") });
  });

  it("exits with 1 when its reader has gone", async () => {
    await using world = await createWorld();
    const child = spawn(process.execPath, [inject("program"), "once"], {
      env: world.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.destroy();
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining("stdout could not be written: write EPIPE"),
    });
  });

  it("exits with 75 all the same when another worker holds the lease", async () => {
    await using world = await createWorld();
    await holdPostgresLease(world.database.sql);
    const { code, stderr } = await shell(world.env, '"$@" > /dev/full', ["once"]);
    expect({ code, stderr }).toEqual({ code: 75, stderr: expect.stringContaining(FULL) });
  });

  it("exits with 1 when there is nobody who could be told", async () => {
    await using world = await createWorld();
    const { code } = await shell(world.env, '"$@" > /dev/full 2> /dev/full', ["once"]);
    expect(code).toBe(1);
  });

  it("exits with 1 when only the summary of the job is missing", async () => {
    await using world = await createWorld();
    const env = { ...world.env, GITHUB_STEP_SUMMARY: "/dev/full", LOG_LEVEL: "silent" };
    const { code, stdout, stderr } = await shell(env, '"$@"', ["once", "--output", "github"]);
    expect(code).toBe(1);
    expect(stdout).toContain("::notice");
    expect(stderr).toMatch(/^run-watchdog: the summary could not be written .*ENOSPC/);
  });
});

describe("a command whose stderr cannot be written", () => {
  it("works and reports as ever", async () => {
    await using world = await createWorld();
    const env = { ...world.env, LOG_LEVEL: "debug" };
    const { code, stdout } = await shell(env, '"$@" 2> /dev/full', ["once", "--output", "json"]);
    expect(code).toBe(0);
    expect(parseDocument(stdout).status).toBe("ok");
  });

  it("still says with its exit code what is wrong", async () => {
    expect((await shell({}, '"$@" 2> /dev/full', ["run"])).code).toBe(2);
  });
});

describe("other commands whose output cannot be written", () => {
  it("say so and exit with 1", async () => {
    await using world = await createWorld();
    for (const args of [["--help"], ["--version"], ["migrate"], ["migrate", "--check"]]) {
      const { code, stderr } = await shell(world.env, '"$@" > /dev/full', args);
      expect({ args, code, stderr }).toEqual({
        args,
        code: 1,
        stderr: expect.stringContaining(FULL),
      });
    }
  });

  it("say nothing of the kind when they had nothing to write", async () => {
    const { code, stderr } = await shell({}, '"$@" > /dev/full', ["migrate"]);
    expect(code).toBe(2);
    expect(stderr).not.toContain("stdout");
  });
});

describe("run whose log cannot be written", () => {
  it("works until it is stopped, and exits with 0", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    const port = await freePort("127.0.0.1");
    const env = {
      ...world.env,
      WATCHDOG_SCHEDULE: "* * * * * *",
      WATCHDOG_HEALTH_PORT: String(port),
      LOG_LEVEL: "debug",
    };
    const script = 'exec "$@" > /dev/full 2> /dev/full';
    const worker = spawn("sh", ["-c", script, "sh", process.execPath, inject("program"), "run"], {
      env,
    });
    const exited = once(worker, "close");
    try {
      await vi.waitFor(async () => expect((await world.row(id)).status).toBe("FAILED"), 30_000);
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      expect(answer.status).toBe(200);
    } finally {
      worker.kill("SIGTERM");
    }
    expect(await exited).toEqual([0, null]);
  });
});

/** @param script for a shell, which finds the program and its arguments in "$@"; it may write in its folder. */
async function shell(env: Env, script: string, args: readonly string[]) {
  const place = await Throwaway.create({ name: "run-watchdog-output", stopSignal: "TERM" });
  const child = spawn("sh", ["-c", script, "sh", process.execPath, inject("program"), ...args], {
    cwd: place.folder,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  place.watch(child);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  await place.dispose();
  return { code, stdout, stderr };
}

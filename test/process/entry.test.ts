/** The first moments of a process: before the program is loaded, and where it cannot be. */
import { execFile } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import { platform } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, inject, it } from "vitest";
import { NEWER_NODE, OLD_NODE, oldNodes, preloaded } from "../support/process/node-program.ts";
import { parseDocument } from "../support/process/report-document.ts";
import { runOnce, startWorker, type WorkerProcess } from "../support/process/worker-process.ts";
import { createWorld, type World } from "../support/world/world.ts";

/** Loaded before the program: it gets a signal when all that has been loaded of it is its first file. */
const SIGNAL_WHILE_LOADING = `
  import { registerHooks } from "node:module";
  let files = 0;
  registerHooks({
    load(url, context, next) {
      if (url.startsWith("file:") && ++files === 2) process.kill(process.pid, "SIGTERM");
      return next(url, context);
    },
  });`;

const LIMITS = ["--max-semi-space-size=16", "--heap-growing-percent=60"];
const MALLOC_LIMITS = ["MALLOC_ARENA_MAX=1", "MALLOC_TRIM_THRESHOLD_=131072"];

const TOO_OLD = /^run-watchdog: needs Node\.js 24 or newer, this is v(\d+)\.\S+ \(\S+\): \S.*\n$/;

describe("what is built", () => {
  it("can be run by its name: npx beside the sources does that", async () => {
    expect((await stat(inject("program"))).mode & 0o111).toBe(0o111);
  });
});

describe("a signal that comes while the program is loaded", () => {
  it("ends run with 0, as later", async () => {
    await using world = await createWorld();
    const { code, signal, stdout } = await runOnce(signalled(world), ["run"]);
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(stdout).toContain("run-watchdog has stopped");
  });

  it("ends once with 143 and its document, as later", async () => {
    await using world = await createWorld();
    const { code, stdout } = await runOnce(signalled(world), ["once", "--output", "json"]);
    expect(code).toBe(143);
    expect(parseDocument(stdout)).toMatchObject({ status: "interrupted", exitCode: 143 });
  });

  it("ends migrate with 143 before it has begun", async () => {
    await using world = await createWorld({ migrate: false });
    const { code, stdout, stderr } = await runOnce(signalled(world), ["migrate"]);
    expect({ code, stdout }).toEqual({ code: 143, stdout: "" });
    expect(stderr).toBe("run-watchdog: stopped by SIGTERM\n");
    const schemas = await world.database.sql`SELECT FROM pg_namespace WHERE nspname = 'watchdog'`;
    expect(schemas).toHaveLength(0);
  });
});

describe("a Node.js that is too old", () => {
  it("is named with the version that is needed, and nothing else is loaded", async () => {
    const env = { NODE_OPTIONS: `${preloaded(OLD_NODE)} ${preloaded(SIGNAL_WHILE_LOADING)}` };
    const { code, signal, stdout, stderr } = await runOnce(env, ["run"]);
    expect({ code, signal, stdout }).toEqual({ code: 2, signal: null, stdout: "" });
    expect(stderr).toMatch(TOO_OLD);
  });

  it("can read the first file", async () => {
    for (const node of await oldNodes()) {
      const ran = promisify(execFile)(node, [inject("program")]);
      const outcome = await ran.catch((error: unknown) => error);
      expect(outcome).toMatchObject({ code: 2, stderr: expect.stringMatching(TOO_OLD) });
    }
  });
});

describe.skipIf(platform() !== "linux")("the limits of V8 and malloc", () => {
  for (const args of [["run"], []]) {
    it(`are set from outside for "${args.join()}", whoever starts it`, async () => {
      await using world = await createWorld();
      await using worker = await startWorker(world.env, args);
      await worker.waitForLog("run-watchdog is up");
      expect(await argumentsOf(worker)).toEqual([...LIMITS, inject("program"), ...args]);
      const environment = await partsOf(worker, "environ");
      expect(environment).toEqual(expect.arrayContaining(MALLOC_LIMITS));
    });
  }

  it("are those that the image sets", async () => {
    const dockerfile = await readFile(join(import.meta.dirname, "../../Dockerfile"), "utf8");
    const [, entrypoint = ""] = /^ENTRYPOINT (.*)$/m.exec(dockerfile) ?? [];
    expect(JSON.parse(entrypoint)).toEqual(["node", ...LIMITS, "/app/dist/main.js"]);
    expect(dockerfile).toContain(`\nENV ${MALLOC_LIMITS.join(" ")}\n`);
  });

  for (const option of ["--max-semi-space-size=32", "--max_semi_space_size=32"]) {
    it(`are left as somebody else sets them with ${option}`, async () => {
      await using world = await createWorld();
      await using worker = await startWorker({ ...world.env, NODE_OPTIONS: option }, ["run"]);
      await worker.waitForLog("run-watchdog is up");
      expect(await argumentsOf(worker)).toEqual([inject("program"), "run"]);
    });
  }

  it("are only the one that Node.js documents where a newer one may refuse the other", async () => {
    await using world = await createWorld();
    const env = { ...world.env, NODE_OPTIONS: preloaded(NEWER_NODE) };
    await using worker = await startWorker(env, ["run"]);
    await worker.waitForLog("run-watchdog is up");
    expect(await argumentsOf(worker)).toEqual([LIMITS[0], inject("program"), "run"]);
  });

  it("are done without where Node.js may not start programs", async () => {
    const env = { NODE_OPTIONS: "--permission --allow-fs-read=*" };
    const { code, stderr } = await runOnce(env, ["once"]);
    expect(code).toBe(2);
    expect(stderr).toContain("run-watchdog: the configuration is not usable");
  });
});

/** Behind the program's own name. */
async function argumentsOf(worker: WorkerProcess): Promise<readonly string[]> {
  return (await partsOf(worker, "cmdline")).slice(1);
}

async function partsOf(
  { pid }: WorkerProcess,
  what: "cmdline" | "environ",
): Promise<readonly string[]> {
  return (await readFile(`/proc/${pid}/${what}`, "utf8")).split("\0").slice(0, -1);
}

function signalled({ env }: World): Readonly<Record<string, string>> {
  return { ...env, NODE_OPTIONS: preloaded(SIGNAL_WHILE_LOADING) };
}

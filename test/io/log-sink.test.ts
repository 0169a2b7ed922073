/** A log whose reader stalls, or whose disk is full: a process of its own writes more than can be written. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";

const MODULE = join(import.meta.dirname, "..", "..", "src", "io", "log.ts");
/** More than pipes and the log itself hold, and more than only the pipes do. */
const MANY = 30_000;
const SOME = 3000;

/** Logs a number of lines at once and says so; when it is told to go on it adds a last one and leaves. */
const PROGRAM = `
  import { once } from "node:events";
  import { openLog } from ${JSON.stringify(MODULE)};
  const { FORMAT, LINES } = process.env;
  process.stdout.on("error", () => undefined);
  const log = openLog({ level: "error", pretty: FORMAT === "pretty", colours: false, fd: 1 });
  for (let n = 0; n < Number(LINES); n += 1) log.error({ n }, "one of many lines that say very little");
  process.send("logged");
  await once(process, "message");
  log.error({}, "the last line");
  const closing = log[Symbol.asyncDispose]();
  process.send("closing");
  await closing;
  process.exit();`;

interface Logging extends AsyncDisposable {
  /** Begins to read. */
  readonly read: () => Promise<string>;
  /** Settles when the process says that it got there. */
  readonly until: (where: "logged" | "closing") => Promise<void>;
  readonly goOn: () => void;
  /** The exit code. */
  readonly exited: Promise<unknown>;
}

describe("a log whose reader stalls", () => {
  for (const format of ["json", "pretty"]) {
    it(`holds nothing up, and tells later how many lines it lacks, as ${format}`, async () => {
      await using logging = startLogging(format, MANY);
      await logging.until("logged");
      const read = logging.read();
      logging.goOn();
      expect(await logging.exited).toBe(0);
      const lines = (await read).trimEnd().split("\n");
      const having = (part: string) => lines.filter((line) => line.includes(part));
      const dropped = Number(/dropped"?: ?(\d+)/.exec(await read)?.[1]);
      expect(having("lines were dropped")).toHaveLength(1);
      expect(dropped).toBeGreaterThan(0);
      // The last line as well, should it have come before there was room again.
      const written = having("one of many lines").length + having("the last line").length;
      expect(written + dropped).toBe(MANY + 1);
      if (format === "json") expect(lines.map(parsed)).not.toContain(null);
    });
  }

  it("gives the reader time for what still waits at the end", async () => {
    await using logging = startLogging("json", SOME);
    await logging.until("logged");
    logging.goOn();
    await logging.until("closing");
    const read = logging.read();
    expect(await logging.exited).toBe(0);
    expect((await read).trimEnd().split("\n")).toHaveLength(SOME + 1);
  });

  it("does not wait for the reader for ever at the end", async () => {
    await using logging = startLogging("json", SOME);
    await logging.until("logged");
    logging.goOn();
    expect(await logging.exited).toBe(0);
  });

  it("holds nothing up on a terminal either", async () => {
    // util-linux' script is the other side of a terminal, and reads it only as fast as it is read itself.
    await using logging = startLogging("pretty", MANY, (program) => [
      ...["script", "--quiet", "--return", "--command", program, "/dev/null"],
    ]);
    await logging.until("logged");
    const read = logging.read();
    logging.goOn();
    expect(await logging.exited).toBe(0);
    expect(await read).toContain("lines were dropped");
  });
});

describe("a log whose disk is full", () => {
  for (const format of ["json", "pretty"]) {
    it(`ends nobody, as ${format}`, async () => {
      const onFullDisk = (program: string) => ["sh", "-c", `${program} > /dev/full`];
      await using logging = startLogging(format, MANY, onFullDisk);
      await logging.until("logged");
      logging.goOn();
      expect(await logging.exited).toBe(0);
    });
  }
});

/** Logs and counts what is written to stdout, and says so on stderr. */
const COUNTING = `
  import fs from "node:fs";
  import { setImmediate as turn } from "node:timers/promises";
  import { openLog } from ${JSON.stringify(MODULE)};
  const write = fs.writeSync;
  let writes = 0;
  fs.writeSync = (fd, ...rest) => {
    if (fd === 1) writes += 1;
    return write(fd, ...rest);
  };
  const log = openLog({ level: "info", pretty: false, colours: false, fd: 1 });
  const counts = [];
  for (let n = 0; n < 100; n += 1) log.info({ n }, "noted");
  await turn();
  await turn();
  counts.push(writes);
  log.info({}, "noted before a warning");
  log.warn({}, "a warning");
  counts.push(writes);
  log.info({}, "noted before the end");
  await log[Symbol.asyncDispose]();
  counts.push(writes);
  process.stderr.write(JSON.stringify(counts));
  process.kill(process.pid, "SIGKILL");`;

describe("lines that are only noted", () => {
  it("are written together, in their order, before a warning and before the end", async () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", COUNTING], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [written, counts] = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect(JSON.parse(counts)).toEqual([1, 2, 3]);
    const messages = written
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).msg);
    const noted = Array.from({ length: 100 }, () => "noted");
    const last = ["noted before a warning", "a warning", "noted before the end"];
    expect(messages).toEqual([...noted, ...last]);
  });
});

/** @param around makes of the program's command line, for a shell, the command that is started. */
function startLogging(
  format: string,
  lines: number,
  around: (program: string) => readonly string[] = (program) => ["sh", "-c", program],
): Logging {
  const [command = "", ...args] = around('exec "$NODE" --input-type=module -e "$PROGRAM"');
  const child = spawn(command, args, {
    env: { ...process.env, NODE: process.execPath, PROGRAM, FORMAT: format, LINES: String(lines) },
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const said = new Map([
    ["logged", Promise.withResolvers<void>()],
    ["closing", Promise.withResolvers<void>()],
  ]);
  child.on("message", (where) => said.get(String(where))?.resolve());
  const exited = once(child, "exit").then(([code]) => code);
  return {
    read: () => (child.stdout === null ? Promise.resolve("") : text(child.stdout)),
    until: async (where) => said.get(where)?.promise,
    goOn: () => void child.send("go on"),
    exited,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

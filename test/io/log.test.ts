import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { leaksIn, markedSecret } from "../support/world/marked-secrets.ts";

const MODULE = join(import.meta.dirname, "..", "..", "src", "io", "log.ts");

/** An error as libraries make them: with the command, its arguments and the address hanging on it, all the way down. */
const PROGRAM = `
  import { openLog } from ${JSON.stringify(MODULE)};
  const secret = ${JSON.stringify(markedSecret("command"))};
  const carrying = (message, cause) =>
    Object.assign(new Error(message, { cause }), { command: { args: [secret] }, input: secret });
  const log = openLog({ level: "trace", pretty: process.argv[1] === "pretty", colours: false, fd: 1 });
  if (process.argv[2] === "unexpected") {
    log.error({ err: new TypeError("odd"), runId: "r", nested: { a: 1 } }, "a step failed");
  } else log.error({ err: carrying("renewing failed", carrying("the server said no")) }, "a step failed");`;

describe("openLog", () => {
  for (const format of ["json", "pretty"]) {
    it(`tells an error's words and its causes', and nothing that hangs on them, as ${format}`, async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [
        ...["--input-type=module", "-e", PROGRAM, format],
      ]);
      expect(stdout).toContain("renewing failed");
      expect(stdout).toContain("the server said no");
      expect(leaksIn(stdout)).toEqual([]);
    });

    it(`writes one line per event, with a stack as well, as ${format}`, async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [
        ...["--input-type=module", "-e", PROGRAM, format, "unexpected"],
      ]);
      expect(stdout.trimEnd().split("\n")).toHaveLength(1);
      for (const part of ["a step failed", "odd", "runId", "nested"])
        expect(stdout).toContain(part);
    });
  }
});

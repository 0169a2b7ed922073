import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fileReader } from "../../src/app/read-file.ts";

const MODULE = join(import.meta.dirname, "..", "..", "src", "app", "read-file.ts");
/** Reads the file in its argument twice; a pipe that blocks is not to block the tests. */
const TWICE = `
  import { fileReader } from ${JSON.stringify(MODULE)};
  const read = fileReader();
  console.log(JSON.stringify([read(process.argv[1]), read(process.argv[1])]));`;

describe("fileReader", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "run-watchdog-files-"));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it("reads a file anew each time", async () => {
    const path = join(folder, "secret");
    const read = fileReader();
    await writeFile(path, "one");
    expect(read(path)).toBe("one");
    await writeFile(path, "two");
    expect(read(path)).toBe("two");
    await rm(path);
    expect(() => read(path)).toThrow(expect.objectContaining({ code: "ENOENT" }));
  });

  it("reads a pipe once, and keeps what it gave", async () => {
    const path = join(folder, "pipe");
    await promisify(execFile)("mkfifo", [path]);
    const write = ["-c", 'printf secret > "$0" & exec "$@"', path, process.execPath];
    const { stdout } = await promisify(execFile)(
      "sh",
      [...write, "--input-type=module", "-e", TWICE, path],
      { timeout: 30_000 },
    );
    expect(JSON.parse(stdout)).toEqual(["secret", "secret"]);
  });
});

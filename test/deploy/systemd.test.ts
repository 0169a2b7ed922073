/** The unit of deploy/systemd as systemd reads it. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findTool } from "./tools.ts";

const UNIT = join(import.meta.dirname, "..", "..", "deploy", "systemd", "run-watchdog.service");

const analyze = await findTool("systemd-analyze", ["--version"], "the unit of systemd");

describe.skipIf(analyze === null)("deploy/systemd/run-watchdog.service", () => {
  it("is understood by systemd without a complaint", async () => {
    expect(await complaints(await readFile(UNIT, "utf8"))).toEqual([]);
  });

  it.each([
    ["a misspelt key", "NoNewPrivileges=", "NoNewPrivilege="],
    ["a value that there is not", "ProtectSystem=strict", "ProtectSystem=stric"],
  ])("would not be with %s", async (_, right, wrong) => {
    const text = (await readFile(UNIT, "utf8")).replace(right, wrong);
    expect(await complaints(text)).toEqual([expect.stringContaining("run-watchdog.service:")]);
  });
});

/** With a program that every machine has. */
async function complaints(unit: string): Promise<readonly string[]> {
  if (analyze === null) throw new Error("there is no systemd-analyze");
  const folder = await mkdtemp(join(tmpdir(), "run-watchdog-unit-"));
  try {
    const path = join(folder, "run-watchdog.service");
    await writeFile(path, unit.replace(/^ExecStart=\S+/m, "ExecStart=/bin/sh"));
    const { stdout, stderr } = await analyze(["verify", "--man=no", path]);
    // Of other units of this machine it complains as well.
    const lines = `${stdout}${stderr}`.split("\n");
    return lines.filter((line) => line.includes("run-watchdog.service"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What the command asks of docker, which is a script here: a container is a file that there is. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Throwaway } from "../../services/throwaway.ts";

const IN_IMAGE = join(import.meta.dirname, "in-image.ts");
const DOCKER = `#!/bin/sh
case "$1" in
  run) printf '%s\\n' "$@" > "$PLACE/asked"; : > "$PLACE/container"
       trap 'rm "$PLACE/container"; exit 7' TERM; echo started
       while [ -e "$PLACE/container" ]; do sleep 0.1; done; exit 137 ;;
  rm) printf '%s\\n' "$3" > "$PLACE/removed"; rm -f "$PLACE/container" ;;
esac
`;

describe("in-image", () => {
  let place: Throwaway;

  beforeEach(async () => {
    place = await Throwaway.create({ name: "run-watchdog-in-image", stopSignal: "TERM" });
    await mkdir(join(place.folder, "bin"));
    await writeFile(join(place.folder, "bin", "docker"), DOCKER);
    await chmod(join(place.folder, "bin", "docker"), 0o755);
  });

  afterEach(() => place.dispose());

  async function start(...args: readonly string[]) {
    const PATH = `${join(place.folder, "bin")}${delimiter}${process.env["PATH"]}`;
    const env = { PATH, PLACE: place.folder, DATABASE_URL: "postgres://me:secret@db/app" };
    const child = spawn(process.execPath, [IN_IMAGE, "run-watchdog:1", ...args], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    place.watch(child);
    const closed = once(child, "close");
    await once(child.stdout, "readable");
    return { child, closed, printed: text(child.stdout) };
  }

  const asked = () => readFile(join(place.folder, "asked"), "utf8");
  const removed = () => readFile(join(place.folder, "removed"), "utf8").catch(() => "");

  it("passes the settings on by their names, the arguments, a signal and the exit code", async () => {
    const { child, closed, printed } = await start("once", "--dry-run");
    child.kill("SIGTERM");
    expect(await closed).toEqual([7, null]);
    expect(await printed).toBe("started\n");
    const words = (await asked()).split("\n");
    expect(words.slice(-6, -1)).toEqual([
      "--env",
      "DATABASE_URL",
      "run-watchdog:1",
      "once",
      "--dry-run",
    ]);
    expect(words.filter((word) => word === "--env")).toHaveLength(1);
  });

  it("leaves no container behind when it is killed", async () => {
    const { child, closed } = await start("run");
    child.kill("SIGKILL");
    await closed;
    const words = (await asked()).split("\n");
    const name = words[words.indexOf("--name") + 1];
    await expect.poll(removed).toBe(`${name}\n`);
  });
});

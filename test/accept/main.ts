/** `npm run accept`: the demo with what users get instead of this checkout: the installed package, and the image. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import packageJson from "../../package.json" with { type: "json" };
import { Throwaway } from "../services/throwaway.ts";
import { docker, whyNoImage } from "./engine.ts";
import { inspectImage, mib } from "./image.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const DEMO = join(ROOT, "test", "demo", "main.ts");
const BUILT_IMAGE = "run-watchdog:accept";
const USAGE = `Usage: npm run accept -- [options]

Packs the package, installs it into an empty folder, and runs the demo with it; then
the same with the image, where docker answers on this machine.

Options:
  --runs <n>      how many runs each demo begins with (default: 60)
  --image <name>  an image that is there, instead of one built for this
  --help          show this
`;

let current: ChildProcess | null = null;
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => current?.kill(signal));
}

process.exitCode = await main();

/** @returns 0 when everything that could be tried here holds, else the exit code of what did not. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "60" },
      image: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const { runs, image, help } = values;
  if (help) {
    process.stdout.write(USAGE);
    return 0;
  }
  return (await acceptPackage(runs)) || (await acceptImage(runs, image));
}

async function acceptPackage(runs: string): Promise<number> {
  say("the package, packed and installed into an empty folder");
  const place = await Throwaway.create({ name: "run-watchdog-accept", stopSignal: "TERM" });
  try {
    const packed = join(place.folder, "packed");
    const consumer = join(place.folder, "consumer");
    await Promise.all([mkdir(packed), mkdir(consumer)]);
    // Else npm looks for one in the folders above.
    await writeFile(join(consumer, "package.json"), JSON.stringify({ private: true }));
    const pack = ["--loglevel=error", "pack", "--pack-destination", packed];
    const packing = await run(place, "npm", pack, ROOT);
    if (packing !== 0) return packing;
    const [tarball = ""] = await readdir(packed);
    // It brings everything along, so there is nothing to ask a registry for.
    const install = ["--loglevel=error", "install", "--offline", "--no-audit", "--no-fund"];
    const installing = await run(place, "npm", [...install, join(packed, tarball)], consumer);
    if (installing !== 0) return installing;
    const program = join(consumer, "node_modules", ".bin", "run-watchdog");
    return await demo(place, runs, ["--program", program]);
  } finally {
    await place.dispose();
  }
}

async function acceptImage(runs: string, given: string | undefined): Promise<number> {
  const why = await whyNoImage(docker, hostname());
  if (why !== null) {
    say(`the image is left out: ${why}`);
    return given === undefined ? 0 : 1;
  }
  const image = given ?? BUILT_IMAGE;
  say(`the image, ${given === undefined ? "built for this" : given}`);
  const place = await Throwaway.create({ name: "run-watchdog-accept", stopSignal: "TERM" });
  try {
    const build = ["build", "--build-arg", `VERSION=${packageJson.version}`, "--tag", image, "."];
    const building = given === undefined ? await run(place, "docker", build, ROOT) : 0;
    if (building !== 0) return building;
    const { ownBytes, problems } = await inspectImage(docker, image);
    say(problems.join("\n== ") || `the image has ${mib(ownBytes)} more than its base`);
    return problems.length > 0 ? 1 : await demo(place, runs, ["--image", image]);
  } finally {
    await place.dispose();
  }
}

async function demo(place: Throwaway, runs: string, what: readonly string[]): Promise<number> {
  return await run(place, process.execPath, [DEMO, "--runs", runs, ...what], ROOT);
}

/** @returns its exit code; 1 when a signal ended it. */
async function run(
  place: Throwaway,
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<number> {
  // Of a group of its own: Ctrl-C reaches us, and we pass it on once.
  const child = spawn(command, [...args], { cwd, detached: true, stdio: "inherit" });
  place.watch(child);
  current = child;
  const [exitCode] = await once(child, "close");
  if (exitCode !== 0) say(`${command} ${args.join(" ")} ended with ${exitCode ?? "a signal"}`);
  return exitCode ?? 1;
}

function say(line: string): void {
  process.stdout.write(`\n== ${line}\n`);
}

/** Debian's Chromium, where this machine has it. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "chromium-headless-shell"];

/** Its program; `null` where there is none. */
export function findChromium(): string | null {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const programs = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return programs.find((program) => existsSync(program)) ?? null;
}

export const WITHOUT_CHROMIUM =
  "there is no chromium on this machine: the status page is not looked at in a browser (apt-get install chromium)";

export function startChromium(executablePath: string): Promise<Browser> {
  // Its own sandbox needs rights that a container does not give, and all that it opens is ours.
  return chromium.launch({ executablePath, args: ["--no-sandbox"], timeout: 180_000 });
}

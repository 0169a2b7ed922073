import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface GithubJob extends AsyncDisposable {
  /** The files that the runner gives to a step. */
  readonly env: Readonly<Record<string, string>>;
  summary(): Promise<string>;
  outputs(): Promise<string>;
}

/** A step of a GitHub job, as far as a program sees it. */
export async function githubJob(): Promise<GithubJob> {
  const folder = await mkdtemp(join(tmpdir(), "run-watchdog-job-"));
  const env = {
    GITHUB_STEP_SUMMARY: join(folder, "summary.md"),
    GITHUB_OUTPUT: join(folder, "outputs"),
  };
  for (const path of Object.values(env)) await writeFile(path, "");
  return {
    env,
    summary: () => readFile(env.GITHUB_STEP_SUMMARY, "utf8"),
    outputs: () => readFile(env.GITHUB_OUTPUT, "utf8"),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

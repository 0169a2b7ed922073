/** Whether the image can be tried here. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const ANSWER_WITHIN_MS = 10_000;

/** Runs docker with these arguments; rejects when it fails. */
export type Docker = (args: readonly string[]) => Promise<{ readonly stdout: string }>;

export const docker: Docker = (args) =>
  promisify(execFile)("docker", [...args], { timeout: ANSWER_WITHIN_MS });

/**
 * The demo's PostgreSQL and its platform listen on this machine's loopback addresses alone, so the engine has to be here.
 *
 * @param host This machine's name.
 * @returns why the image cannot be tried; `null` when it can.
 */
export async function whyNoImage(ask: Docker, host: string): Promise<string | null> {
  try {
    const { stdout } = await ask(["info", "--format", "{{.OSType}} {{.Name}}"]);
    const [os, name] = stdout.trim().split(" ");
    if (os !== "linux") return `docker runs containers of ${os}, and the image is one of linux`;
    if (name === host) return null;
    return `docker runs on another machine (${name}), which cannot reach the demo's services on ${host}`;
  } catch (error) {
    return `docker info does not answer (${firstLine(error)})`;
  }
}

/** What docker itself says, where it says something. */
function firstLine(error: unknown): string {
  const { stderr = "", message = String(error) } = error as { stderr?: string; message?: string };
  const [line = ""] = (stderr.trim() || message).split("\n");
  return line;
}

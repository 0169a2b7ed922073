/** Node.js as the programs under test meet it. */
import { execFile } from "node:child_process";
import { delimiter, join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";

/** Loaded before the program, for a process of the Node.js that runs the tests: it says that it is another one. */
export const OLD_NODE = calledNode("20.20.2");
export const NEWER_NODE = calledNode("26.1.0");

function calledNode(version: string): string {
  return `
  Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } });
  Object.defineProperty(process, "version", { value: "v${version}" });`;
}

/** An option of Node's that loads this source first. */
export function preloaded(source: string): string {
  return `--import data:text/javascript,${encodeURIComponent(source)}`;
}

/** Those among the programs called `node` on this machine that are older than what is needed. */
export async function oldNodes(): Promise<readonly string[]> {
  const folders = new Set((process.env["PATH"] ?? "").split(delimiter));
  const versions = await Promise.all(
    Array.from(folders, async (folder) => {
      const node = join(folder, "node");
      const { stdout } = await promisify(execFile)(node, ["--version"]).catch(() => ({
        stdout: "",
      }));
      return { node, major: Number(/^v(\d+)/.exec(stdout)?.[1] ?? Number.POSITIVE_INFINITY) };
    }),
  );
  return versions.filter(({ major }) => major < 24).map(({ node }) => node);
}

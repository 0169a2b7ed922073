import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** As V8 writes it; positions count from 0. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** Microseconds between a sample and the one before it. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
    readonly columnNumber: number;
  };
}

export interface FileTime {
  readonly file: string;
  /** Of the time in which anything was done, from 0 to 1. */
  readonly share: number;
}

const ROOT = resolve(import.meta.dirname, "..", "..", "..");
const IDLE = "(idle)";

/** The files in which the time was spent, without what they called; the longest first. */
export function timeByFile({ nodes, samples, timeDeltas }: CpuProfile): readonly FileTime[] {
  const mapped = new MappedFiles();
  const files = new Map(nodes.map(({ id, callFrame }) => [id, mapped.fileOf(callFrame)]));
  const times = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const file = files.get(id) ?? "(unknown)";
    // A sample is what goes on from then on: the time until the next one is its own.
    times.set(file, (times.get(file) ?? 0) + (timeDeltas[index + 1] ?? 0));
  }
  times.delete(IDLE);
  const total = [...times.values()].reduce((sum, time) => sum + time, 0);
  return [...times]
    .map(([file, time]) => ({ file, share: time / total }))
    .toSorted((a, b) => b.share - a.share);
}

/** The same by package, `src` for our own files and `node` for what Node.js is made of. */
export function timeByPackage(files: readonly FileTime[]): readonly FileTime[] {
  const times = new Map<string, number>();
  for (const { file, share } of files) {
    const name = packageOf(file);
    times.set(name, (times.get(name) ?? 0) + share);
  }
  return [...times].map(([file, share]) => ({ file, share })).toSorted((a, b) => b.share - a.share);
}

function packageOf(file: string): string {
  if (file.startsWith("(")) return file;
  if (file.startsWith("native ") || file.startsWith("node:")) return "node";
  return /^(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? file;
}

/** Of a bundle with source maps beside it: the file from which a function came. */
class MappedFiles {
  readonly #maps = new Map<string, SourceMap | null>();

  fileOf({ functionName, url, lineNumber, columnNumber }: ProfileNode["callFrame"]): string {
    if (url === "") return functionName.startsWith("(") ? functionName : `native ${functionName}`;
    if (!url.startsWith("file:")) return url;
    const path = fileURLToPath(url);
    const entry = this.#mapOf(path)?.findEntry(lineNumber, columnNumber);
    const source = entry !== undefined && "originalSource" in entry ? entry.originalSource : null;
    const file = source === null ? path : resolve(dirname(path), source);
    return relative(ROOT, file).replace(/^(?:\.\.\/)*node_modules\//, "");
  }

  #mapOf(path: string): SourceMap | null {
    const known = this.#maps.get(path);
    if (known !== undefined) return known;
    const file = `${path}.map`;
    const map = existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, "utf8"))) : null;
    this.#maps.set(path, map);
    return map;
  }
}

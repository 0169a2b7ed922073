import { readFileSync, statSync } from "node:fs";

/**
 * Reads a file anew each time. A pipe gives its content only once, and a named one would block whoever reads it again:
 * what it gave is kept.
 */
export function fileReader(): (path: string) => string {
  const fromPipes = new Map<string, string>();
  return (path) => {
    const kept = fromPipes.get(path);
    if (kept !== undefined) return kept;
    const isFile = statSync(path).isFile();
    const text = readFileSync(path, "utf8");
    if (!isFile) fromPipes.set(path, text);
    return text;
  };
}

import type { Stdout } from "../app/stdout.ts";

/** Everything a command gets from the process it runs in; nothing else looks at the process itself. */
export interface ProcessContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  readonly appendFile: (path: string, text: string) => void;
  /** For results. */
  readonly stdout: Stdout;
  readonly stderr: NodeJS.WriteStream;
  readonly hostname: string;
  readonly pid: number;
  readonly version: string;
  readonly nodeVersion: string;
}

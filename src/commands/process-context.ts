import type { ProcessFacts } from "../app/runtime.ts";
import type { Stdout } from "../app/stdout.ts";

/** Everything a command gets from the process it runs in; nothing else looks at the process itself. */
export interface ProcessContext extends ProcessFacts {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  readonly appendFile: (path: string, text: string) => void;
  /** For results. */
  readonly stdout: Stdout;
  readonly stderr: NodeJS.WriteStream;
}

import { createWriteStream, fstatSync } from "node:fs";
import type { Writable } from "node:stream";
import { setImmediate } from "node:timers/promises";

/** stdout, for results. */
export type Stdout = Writable & Partial<Pick<NodeJS.WriteStream, "isTTY" | "columns" | "rows">>;

export interface WatchedStdout {
  readonly stream: Stdout;
  /** Waits until everything has been taken by its reader, however slow, or cannot be: then with the reason. */
  failure(): Promise<Error | null>;
}

export function watchStdout(stdout: NodeJS.Process["stdout"]): WatchedStdout {
  // On a disk that fills up, `process.stdout` loses what did not fit and calls that a success.
  const stream = fstatSync(stdout.fd).isFile()
    ? createWriteStream("", { fd: stdout.fd, autoClose: false })
    : stdout;
  const failed = Promise.withResolvers<Error>();
  let failure: Error | null = null;
  stream.on("error", (error) => {
    failure ??= error;
    failed.resolve(error);
  });
  return {
    stream,
    async failure() {
      // A file's errors come with the next turn.
      await setImmediate();
      // Where nothing waits nothing is written, not even an empty text: a full disk would refuse it.
      if (stream.writableLength > 0) {
        const taken = Promise.withResolvers<unknown>();
        stream.write("", taken.resolve);
        // A file that failed once calls nobody back.
        await Promise.race([failed.promise, taken.promise]);
      }
      return failure;
    },
  };
}

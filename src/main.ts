#!/usr/bin/env node
import process from "node:process";

/**
 * The process: its version, its signals, its exit code. Everything else is imported when that is settled. As process 1
 * of a container it has no default action for signals: one that came while a hundred files are loaded would be lost. And
 * an older Node could not even read those files, so this one has no import and no syntax that is new.
 */

const NEEDED_MAJOR = 24;
const STOP_WITHIN_MS = 10_000;

if (Number.parseInt(process.versions.node, 10) < NEEDED_MAJOR) {
  process.stderr.write(
    `run-watchdog: needs Node.js ${NEEDED_MAJOR} or newer, this is ${process.version} (${process.execPath}): update Node.js, or start it with a newer one\n`,
  );
  process.exitCode = 2;
} else {
  const stop = listenForSignals();
  // Not with `await`: should a bundle ever put something into this file that others import, both would wait for ever.
  void import("./program.ts")
    .then(({ main }) => main(process, stop))
    .then((exitCode) => process.exit(exitCode));
}

/**
 * The first signal asks for an orderly end, the second or ten seconds more end the process at once.
 *
 * @returns a signal whose reason is the name of the one that came.
 */
function listenForSignals(): AbortSignal {
  const stop = new AbortController();
  for (const [signal, exitCode] of [
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(exitCode);
      stop.abort(signal);
      setTimeout(() => process.exit(exitCode), STOP_WITHIN_MS).unref();
    });
  }
  return stop.signal;
}

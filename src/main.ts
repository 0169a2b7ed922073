#!/usr/bin/env node
import process from "node:process";

/**
 * The process: its version, its signals, its exit code. Everything else is imported when that is settled. As process 1
 * of a container it has no default action for signals: one that came while a hundred files are loaded would be lost. And
 * an older Node could not even read those files, so this one has no import and no syntax that is new.
 */

const NEEDED_MAJOR = 24;
/**
 * Thousands of short-lived answers make V8 grow its young generation to 128 MB and let the old one run up, although hardly
 * 30 MB are in use. 5,000 runs, 256 at once, take 310 MB without these and 170 MB with them. V8 reads the first one only
 * while it starts.
 */
const HEAP_LIMITS = ["--max-semi-space-size=16", "--heap-growing-percent=60"];
/** Without V8's own: Node.js does not start with an option that its V8 no longer has. */
const DOCUMENTED_LIMITS = ["--max-semi-space-size=16"];
/**
 * For glibc, which gives the threads of V8 arenas of their own and keeps what is freed: another 12 MB under load, 5 at rest.
 * The image gives all of these.
 */
const MALLOC_LIMITS = { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "131072" };
const STOP_WITHIN_MS = 10_000;

const major = Number.parseInt(process.versions.node, 10);
if (major < NEEDED_MAJOR) {
  process.stderr.write(
    `run-watchdog: needs Node.js ${NEEDED_MAJOR} or newer, this is ${process.version} (${process.execPath}): update Node.js, or start it with a newer one\n`,
  );
  process.exitCode = 2;
} else {
  if (sweeps() && !isLimited()) restartLimited();
  const stop = listenForSignals();
  // Not with `await`: should a bundle ever put something into this file that others import, both would wait for ever.
  void import("./program.ts")
    .then(({ main }) => main(process, stop))
    .then((exitCode) => process.exit(exitCode));
}

/** Whether many answers can come in. */
function sweeps(): boolean {
  const [, , command = "run"] = process.argv;
  return command === "run" || command === "once";
}

/** Also by somebody who knows better. */
function isLimited(): boolean {
  const { execArgv, env } = process;
  return [...execArgv, env["NODE_OPTIONS"] ?? ""].some((text) =>
    /semi[-_]space[-_]size/.test(text),
  );
}

/**
 * Becomes the same program in the same process with the limits set, before anything is loaded. Not where a parent has a
 * channel to this process, which would not survive.
 */
function restartLimited(): void {
  const { execPath, execArgv, argv, connected } = process;
  if (connected) return;
  const limits = major === NEEDED_MAJOR ? HEAP_LIMITS : DOCUMENTED_LIMITS;
  const args = [execPath, ...limits, ...execArgv, ...argv.slice(1)];
  try {
    process.execve?.(execPath, args, { ...MALLOC_LIMITS, ...process.env });
  } catch {
    // Windows cannot, and Node's permissions may forbid it: it works without, and takes more memory.
  }
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

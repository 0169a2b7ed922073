/**
 * The library's first import. What comes after it needs a newer Node.js, and fails on an older one in a way that tells
 * nobody what to do.
 */
import process from "node:process";

const NEEDED_MAJOR = 24;

if (Number.parseInt(process.versions.node, 10) < NEEDED_MAJOR) {
  throw new Error(
    `run-watchdog needs Node.js ${NEEDED_MAJOR} or newer, this is ${process.version} (${process.execPath}): update Node.js, or start your program with a newer one`,
  );
}

import { accessSync, constants, readFileSync, statfsSync } from "node:fs";

const FOLDER = "/dev/shm";
const GIB = 1024 ** 3;
/** Twice what a whole test run keeps there at once. */
const ROOM_BYTES = GIB;
/** That, and what the tests themselves need. */
const MEMORY_BYTES = 3 * GIB;

/**
 * A folder in memory for everything temporary; `null` where there is none with enough room. Databases come and go with
 * hundreds of files each: ext4 looks long for a place for each of them, because it avoids what was freed a moment ago.
 */
export function memoryFolder(): string | null {
  try {
    const mount = readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" "))
      .findLast(([, folder]) => folder === FOLDER);
    const [, , type, options = ""] = mount ?? [];
    // PostgreSQL's programs are copied there when its account cannot reach them.
    if (type !== "tmpfs" || options.split(",").includes("noexec")) return null;
    accessSync(FOLDER, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(FOLDER);
    const hasRoom = bavail * bsize >= ROOM_BYTES && process.availableMemory() >= MEMORY_BYTES;
    return hasRoom ? FOLDER : null;
  } catch {
    return null;
  }
}

import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { memoryFolder } from "./services/memory-folder.ts";

const folder = memoryFolder();
if (folder !== null) process.env["TMPDIR"] ??= folder;

/** Bounds for what hangs, not for what is slow: a machine may be very busy. */
const PATIENT = {
  testTimeout: 240_000,
  hookTimeout: 240_000,
  expect: { poll: { timeout: 90_000 } },
};

/** drizzle is some two hundred files: one by one they cost every test file that needs it half a second. */
const DRIZZLE = ["drizzle-orm", "drizzle-orm/pg-core"];
const BUNDLED = { optimizer: { ssr: { enabled: true, include: DRIZZLE } } };
const cacheDir = join(import.meta.dirname, "..", "node_modules", ".vite");

export default defineConfig({
  test: {
    // Many tests wait for processes and ticks: more of them fit on a small machine than it has cores.
    maxWorkers: 6,
    projects: [
      {
        test: {
          name: "unit",
          root: import.meta.dirname,
          include: [
            "{cli,rules,watchdog,config,report,deploy,accept}/**/*.test.ts",
            "bench/{measure,profile}/**/*.test.ts",
            "bench/*.test.ts",
            "*.test.ts",
          ],
          // Everything is made anew by each test, so the files need no process of their own.
          isolate: false,
          ...PATIENT,
        },
      },
      {
        cacheDir,
        test: {
          name: "real",
          root: import.meta.dirname,
          include: [
            "{io,conformance,app,commands,races,replays,defects,process}/**/*.test.ts",
            "{demo,fake-host,services,bench/processes}/**/*.test.ts",
          ],
          globalSetup: ["services/global-setup.ts", "services/program-setup.ts"],
          deps: BUNDLED,
          ...PATIENT,
        },
      },
      {
        // The stores and whole sweeps once more, with a transaction pooler between the worker and its database.
        cacheDir,
        test: {
          name: "pooled",
          root: import.meta.dirname,
          include: [
            "io/postgres/no-transaction.test.ts",
            "io/postgres/leadership/*.test.ts",
            "io/postgres/journal/journal-cleanups.test.ts",
            "io/postgres/runs/{lost-writes,run-paging,run-read,run-suspicion,run-write}*.test.ts",
            "app/cleanup/{proof,resume,first-run-races}.test.ts",
            "app/{incident,verdict-table/proofs}.test.ts",
          ],
          globalSetup: ["services/global-setup.ts", "services/pgbouncer/setup.ts"],
          deps: BUNDLED,
          ...PATIENT,
        },
      },
    ],
  },
});

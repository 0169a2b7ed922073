import { defineConfig } from "vitest/config";
import { memoryFolder } from "./support/memory-folder.ts";

const folder = memoryFolder();
if (folder !== null) process.env["TMPDIR"] ??= folder;

/** Bounds for what hangs, not for what is slow: a machine may be very busy. */
const PATIENT = {
  testTimeout: 240_000,
  hookTimeout: 240_000,
  expect: { poll: { timeout: 90_000 } },
};

export default defineConfig({
  test: {
    // Many tests wait for processes and ticks: more of them fit on a small machine than it has cores.
    maxWorkers: 3,
    projects: [
      {
        test: {
          name: "unit",
          root: import.meta.dirname,
          include: [
            "rules/**/*.test.ts",
            "watchdog/**/*.test.ts",
            "report/**/*.test.ts",
            "*.test.ts",
          ],
          ...PATIENT,
        },
      },
      {
        test: {
          name: "real",
          root: import.meta.dirname,
          include: ["{io,app,commands,demo,races,replays,defects,process}/**/*.test.ts"],
          globalSetup: ["support/global-setup.ts", "support/program-setup.ts"],
          ...PATIENT,
        },
      },
      {
        // The stores and whole sweeps once more, with a transaction pooler between the worker and its database.
        test: {
          name: "pooled",
          root: import.meta.dirname,
          include: [
            "io/postgres/{journal-cleanups,leadership,lease,lost-writes,no-transaction}*.test.ts",
            "io/postgres/run-{paging,read,suspicion,write}*.test.ts",
            "app/{cleanup-proof,cleanup-resume,first-run-races,incident,verdict-table-proofs}*.test.ts",
          ],
          globalSetup: ["support/global-setup.ts", "support/pgbouncer-setup.ts"],
          ...PATIENT,
        },
      },
    ],
  },
});

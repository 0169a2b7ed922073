import { defineConfig } from "vitest/config";

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
        },
      },
      {
        test: {
          name: "real",
          root: import.meta.dirname,
          include: ["{io,app,commands,demo,races,process}/**/*.test.ts"],
          globalSetup: ["support/global-setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

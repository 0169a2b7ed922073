import { describe, expect, it } from "vitest";
import { createDatabase } from "../../services/postgres/database.ts";
import { seedFleet } from "../fleet.ts";
import { type Mode, startBackend } from "./backend.ts";
import type { BareCost, BareLoop } from "./bare-loop.ts";
import { startScript } from "./child.ts";

const RUNS = 40;

const cases: readonly {
  readonly mode: Mode;
  readonly statements: BareLoop["statements"];
  readonly journaled: number;
}[] = [
  { mode: "http", statements: "same", journaled: RUNS },
  { mode: "cloud", statements: "same", journaled: RUNS },
  { mode: "http", statements: "plain", journaled: 0 },
  { mode: "cloud", statements: "plain", journaled: 0 },
];

describe("the bare loop", () => {
  it.each(cases)(
    "ends every stale run in $mode mode with the $statements statements",
    async (given) => {
      const { mode, statements, journaled } = given;
      await using database = await createDatabase();
      await using backend = await startBackend();
      await seedFleet(database.sql, { stale: RUNS, ended: 5 });
      const loop: BareLoop = {
        databaseUrl: database.url,
        backendUrl: backend.url,
        mode,
        statements,
        atOnce: 8,
        connections: 4,
      };
      await using script = startScript("bare-loop.ts", loop);
      const { runs, wallMs, cpuMs } = await script.read<BareCost>();
      expect(runs).toBe(RUNS);
      expect(wallMs).toBeGreaterThan(0);
      expect(cpuMs).toBeGreaterThan(0);
      const [row] = await database.sql`
      SELECT (SELECT count(*)::int FROM automation_runs WHERE status = 'COMPLETED') AS completed,
        (SELECT count(*)::int FROM watchdog.verdicts) AS journaled`;
      expect(row).toEqual({ completed: RUNS + 5, journaled });
    },
  );
});

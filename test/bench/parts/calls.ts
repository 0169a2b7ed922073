/** Calls of one sweep in cloud mode, counted where they arrive. All runs are those of one user. */
import { startHostProcess } from "../../fake-host/process-client.ts";
import { seedAutomation, seedRuns } from "../../fake-host/seed.ts";
import { sweepOnce } from "../processes/worker.ts";
import type { Part } from "./part.ts";

const RUNS = 2000;
const AT_ONCE = 64;
const KINDS = [
  "mint",
  "lookup",
  "events",
  "event",
  "server-info",
  "probe",
  "delete",
  "other",
] as const;
const MOST_PER_RUN = 1.1;

export const CALLS: Part = {
  name: "calls",
  title: "API calls per run in cloud mode, runs of one user",
  async measure({ place, options }) {
    const runs = options.runs ?? RUNS;
    await using database = await place.createDatabase();
    await using host = await startHostProcess();
    const of = await seedAutomation(database.sql);
    const seeded = await seedRuns(
      database.sql,
      Array.from({ length: runs }, () => ({ of })),
    );
    const add = seeded.map(({ sandboxId, bashCommandId, userId, orgId }) => ({
      id: sandboxId ?? "",
      userId,
      orgId,
      outputs: [{ commandId: bashCommandId ?? "", exitCode: 0, stdout: "done\n" }],
    }));
    await host.send({ add });
    const { report } = await sweepOnce(
      {
        DATABASE_URL: database.url,
        WATCHDOG_CONCURRENCY: String(AT_ONCE),
        WATCHDOG_API_CONCURRENCY: String(AT_ONCE),
        AUTOMATION_OPENHANDS_API_BASE_URL: host.url,
        AUTOMATION_SERVICE_KEY: host.serviceKey,
      },
      runs,
    );
    const traffic = await host.send({ traffic: true });
    const seen = (kind: string) => traffic[kind]?.seen ?? 0;
    const all = seen("all");
    const api = seen("mint") + seen("lookup");
    const deletions = seen("delete");
    const limit = { atMost: MOST_PER_RUN };
    return {
      figures: [
        { name: "runs", value: runs, unit: "" },
        ...KINDS.map((kind) => ({ name: `calls: ${kind}`, value: seen(kind), unit: "" })),
        {
          name: "per run: keys, look-ups and the agent server",
          value: (all - deletions) / runs,
          unit: "",
          limit,
        },
        {
          name: "per run: keys, look-ups and deletions",
          value: (api + deletions) / report.cleanups.done,
          unit: "",
          limit,
        },
        { name: "per run: keys and look-ups", value: api / runs, unit: "" },
      ],
      notes: [],
    };
  },
};

/**
 * Sweep time against its floor: every run needs two answers from the backend, so nothing can be faster than
 * ceil(runs / concurrency) x 2 x latency. The built worker runs as a process of its own, and so does the fake host.
 */
import type { Sql } from "postgres";
import { type HostProcess, startHostProcess } from "../fake-host/process-client.ts";
import { seedAutomation, seedRuns } from "../fake-host/seed.ts";
import { line } from "./print.ts";
import { runWorkerOnce } from "./worker.ts";

const RUNS = 5000;
const LATENCY_MS = 100;
const CONCURRENCY = 256;
const TENANTS = 10;
const BATCH = 1000;

export async function benchSpeed(sql: Sql, databaseUrl: string): Promise<void> {
  await using host = await startHostProcess();
  await seed(sql, host);
  await host.send({ latencyMs: LATENCY_MS });
  const { report, peakMb } = await runWorkerOnce(databaseUrl, host, {
    WATCHDOG_CONCURRENCY: String(CONCURRENCY),
    WATCHDOG_API_CONCURRENCY: String(CONCURRENCY),
  });
  const [timing] = await sql<{ readonly last: number }[]>`
    SELECT extract(epoch FROM max(v.decided_at) - l.sweep_started_at)::float8 AS last
    FROM watchdog.verdicts v, watchdog.leadership l GROUP BY l.sweep_started_at`;
  const floorMs = Math.ceil(RUNS / CONCURRENCY) * 2 * LATENCY_MS;
  const verdictsMs = (timing?.last ?? Number.NaN) * 1000;
  line("stale runs, all finished", `${report.counts.completed} of ${RUNS}`);
  line("floor: waves x 2 answers x latency", `${floorMs} ms`);
  line("last verdict after", `${Math.round(verdictsMs)} ms`);
  line("ratio to the floor (at most 1.30)", (verdictsMs / floorMs).toFixed(2));
  line("sweep with clean-up", `${report.durationMs} ms`);
  line("resident memory of the worker, peak", `${peakMb.toFixed(0)} MB (at most 200)`);
}

async function seed(sql: Sql, host: HostProcess): Promise<void> {
  const tenants = await Promise.all(Array.from({ length: TENANTS }, () => seedAutomation(sql)));
  for (let done = 0; done < RUNS; done += BATCH) {
    const seeds = tenants.flatMap((of) => Array.from({ length: BATCH / TENANTS }, () => ({ of })));
    const runs = await seedRuns(sql, seeds);
    const sandboxes = runs.map(({ sandboxId, bashCommandId, userId, orgId }) => ({
      id: sandboxId ?? "",
      userId,
      orgId,
      outputs: [{ commandId: bashCommandId ?? "", exitCode: 0, stdout: "done\n" }],
    }));
    await host.send({ add: sandboxes });
  }
  await sql`ANALYZE`;
}

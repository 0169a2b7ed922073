/**
 * The platform of deploy/compose: its API and its sandboxes on one port, and every few seconds some runs whose callback
 * never came. Set by DATABASE_URL, AUTOMATION_SERVICE_KEY, PLATFORM_NAME (under which workers reach it), PLATFORM_PORT
 * and PLATFORM_EVERY_MS.
 */
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import postgres, { type Sql } from "postgres";
import { type FakeHost, startFakeHost } from "../../fake-host/fake-host.ts";
import type { Sandbox } from "../../fake-host/model.ts";
import { seedRuns } from "../../fake-host/seed.ts";

const RUNS_AT_ONCE = 10;

await main(process.env);

async function main(env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
  const serviceKey = env["AUTOMATION_SERVICE_KEY"] ?? "";
  const at = { name: env["PLATFORM_NAME"] ?? "platform", port: Number(env["PLATFORM_PORT"]) };
  const sql = postgres(env["DATABASE_URL"] ?? "", { max: 1 });
  await using host = await startFakeHost({ keepRequests: 0, serviceKey, at });
  process.stdout.write(`${JSON.stringify({ url: host.url })}\n`);
  while (!stop.signal.aborted) {
    await addRuns(sql, host);
    const everyMs = Number(env["PLATFORM_EVERY_MS"]);
    await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => undefined);
  }
  await sql.end();
}

/** The presumed dead are few beside the others, so that the guard lets them pass. */
async function addRuns(sql: Sql, host: FakeHost): Promise<void> {
  const runs = await seedRuns(
    sql,
    Array.from({ length: RUNS_AT_ONCE }, () => ({ startedAgoMs: 60_000, overdueMs: 1000 })),
  );
  for (const [index, { sandboxId, bashCommandId, userId, orgId }] of runs.entries()) {
    const sandbox = sandboxOf(index, bashCommandId ?? "");
    host.addSandbox({ ...sandbox, id: sandboxId ?? "", userId, orgId });
  }
}

function sandboxOf(index: number, commandId: string): Partial<Sandbox> {
  const command = { id: commandId };
  if (index === 0) return { status: "MISSING" };
  if (index === 1) return { commands: [command] };
  const exitCode = index < 4 ? 1 : 0;
  return { commands: [command], outputs: [{ commandId, exitCode }] };
}

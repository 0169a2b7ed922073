import { expect, it } from "vitest";
import { html, json, type Reply } from "../fake-host/model.ts";
import { createWorld } from "../support/world/world.ts";

const MINTS: readonly Reply[] = [
  html(503, "Service Unavailable"),
  json(429, { error: "Rate limit exceeded" }),
  json(200, { user_id: "without a key" }),
  "reset",
];
const LOOKUPS: readonly Reply[] = [
  json(401, { detail: "Invalid API key" }),
  json(403, { detail: "Forbidden" }),
];

it("neither a key that cannot be minted nor one that is refused ends a run", async () => {
  await using world = await createWorld();
  const answers = new Map<string, Reply>();
  for (const reply of MINTS) answers.set((await world.seed()).userId, reply);
  for (const reply of LOOKUPS) answers.set((await world.seed()).sandboxId ?? "", reply);
  world.host.intercept(({ kind, path, sandboxId }) => {
    if (kind === "lookup") return answers.get(sandboxId ?? "");
    return kind === "mint" ? answers.get(path.split("/")[4] ?? "") : undefined;
  });

  const report = await world.sweep();

  expect(report.runs.map(({ action }) => action)).toEqual(Array(6).fill("undetermined"));
  const { sql } = world.database;
  const runs = await sql`SELECT DISTINCT status, completed_at, error_detail FROM automation_runs`;
  expect([...runs]).toEqual([{ status: "RUNNING", completed_at: null, error_detail: null }]);
  expect(await sql`SELECT FROM watchdog.verdicts`).toHaveLength(0);
  expect(world.host.traffic.of("delete").seen).toBe(0);
});

import { expect, it } from "vitest";
import { html, type Reply, type Sandbox } from "../fake-host/model.ts";
import { createWorld, exitedWith } from "../support/world/world.ts";

/** The guard is as loose as elsewhere in tests: this is about the number of observations alone. */
const PRODUCT = { WATCHDOG_CONFIRMATIONS: "2" };

const SIGHTS: readonly (Partial<Sandbox> | { readonly answer: Reply })[] = [
  { status: "STARTING" },
  { status: "PAUSED" },
  { status: "ERROR" },
  { status: "MISSING" },
  { agentUrl: null },
  { answer: { status: 200, body: "[null]" } },
  { answer: html(404, "Not Found") },
  { answer: { status: 302, headers: { location: "/login" } } },
  { answer: html(200, "Sign in") },
  { answer: { status: 200, body: '[{"id"' } },
];

it("no answer about a sandbox ends its run at the first observation, and a run that lives is judged by what it says then", async () => {
  await using world = await createWorld();
  const answers = new Map<string | null, Reply>();
  const runs = [];
  for (const sight of SIGHTS) {
    const run = await world.seed({}, "answer" in sight ? {} : sight);
    if ("answer" in sight) answers.set(run.sandboxId, sight.answer);
    runs.push(run);
  }
  const remove = world.host.intercept(({ kind, sandboxId }) =>
    kind === "lookup" ? answers.get(sandboxId) : undefined,
  );

  const { counts } = await world.sweep({ env: PRODUCT });
  expect(counts).toMatchObject({ deferred: 1, suspected: 5, undetermined: 4, held: 0, errors: 0 });
  const { sql } = world.database;
  expect(await sql`SELECT FROM automation_runs WHERE status <> 'RUNNING'`).toHaveLength(0);

  remove();
  for (const run of runs) {
    const healthy = { status: "RUNNING", outputs: [exitedWith(0, run)] } as const;
    const { agentUrl: _, ...sandbox } = world.host.sandbox(run.sandboxId ?? "") ?? {};
    expect(sandbox, "a living sandbox was deleted").not.toEqual({});
    world.host.addSandbox({ ...sandbox, ...healthy });
  }
  const again = await world.sweep({ env: PRODUCT, runIds: runs.map(({ id }) => id) });
  expect(again.counts).toMatchObject({ completed: SIGHTS.length });
});

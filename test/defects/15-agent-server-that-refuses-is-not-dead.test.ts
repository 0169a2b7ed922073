import { expect, it } from "vitest";
import { html, type Reply, type Sandbox } from "../fake-host/model.ts";
import { createWorld, exitedWith, randomCommandId } from "../support/world/world.ts";

const REFUSALS: readonly (Partial<Sandbox> | { readonly answer: Reply })[] = [
  { agentKey: "rotated when it was resumed" },
  { sessionKey: null, agentKey: "not shown to the caller" },
  { answer: html(404, "Not Found") },
  { answer: html(200, "It works!") },
];

it("an agent server that refuses or misunderstands the question ends no run and loses no sandbox", async () => {
  await using world = await createWorld();
  const answers = new Map<string | null, Reply>();
  for (const refusal of REFUSALS) {
    const run = await world.seed({}, "answer" in refusal ? {} : refusal);
    if ("answer" in refusal) answers.set(run.sandboxId, refusal.answer);
  }
  world.host.intercept(({ kind, sandboxId }) =>
    kind === "events" ? answers.get(sandboxId) : undefined,
  );

  const { counts } = await world.sweep();

  expect(counts).toMatchObject({ undetermined: REFUSALS.length, failed: 0 });
  const { sql } = world.database;
  expect(await sql`SELECT FROM automation_runs WHERE status <> 'RUNNING'`).toHaveLength(0);
  expect(world.host.traffic.of("delete").seen).toBe(0);
});

it("a session key that was rotated is looked up again and used", async () => {
  await using world = await createWorld();
  const bashCommandId = randomCommandId();
  const outputs = [exitedWith(0, { bashCommandId })];
  const run = await world.seed({ bashCommandId }, { sessionKey: "old", agentKey: "new", outputs });
  world.host.intercept(({ kind }) => {
    const rotates = kind === "lookup" && world.host.traffic.of("events").seen > 0;
    if (rotates) world.host.update(run.sandboxId ?? "", { sessionKey: "new" });
    return undefined;
  });

  expect((await world.sweep()).counts).toMatchObject({ completed: 1 });
});

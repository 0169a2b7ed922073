import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { html, json, type Reply } from "../../fake-host/model.ts";
import type { SeededRun } from "../../fake-host/seed.ts";
import { cleanupOf, deletions, setDueIn } from "../../support/world/cleanup-rows.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

const DAY_S = 86_400;
const UNKNOWN = json(404, { detail: "Sandbox not found" });

describe("the end of a deletion's attempts", () => {
  let world: World;
  let reply: Reply | undefined;

  beforeEach(async () => {
    world = await createWorld();
    reply = html(500, "Trouble");
    world.host.intercept(({ kind }) => (kind === "delete" ? reply : undefined));
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("comes with the third answer that the sandbox is not known, although the API may be wrong", async () => {
    reply = UNKNOWN;
    const run = await seedExited();
    await world.sweep();
    await setDueIn(world, run.id);
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
    await setDueIn(world, run.id);
    expect((await world.sweep()).cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
    expect(await cleanupOf(world, run.id)).toMatchObject({
      state: "done",
      attempts: 3,
      error: "the API does not know the sandbox: sandbox_api delete_sandbox returned HTTP 404",
      nextInMs: null,
    });
    expect(deletions(world)).toHaveLength(3);
  });

  it("is a deletion when the API comes to know the sandbox after all", async () => {
    reply = UNKNOWN;
    const run = await seedExited();
    await world.sweep();
    reply = undefined;
    await setDueIn(world, run.id);
    expect((await world.sweep()).cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
    expect(world.host.sandbox(run.sandboxId ?? "")).toBeUndefined();
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "done", error: null });
  });

  it("comes a day after the verdict, with the last cause, and is final", async () => {
    const run = await failOnceAndAge(DAY_S + 1);
    reply = html(503, "Trouble");
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 0, abandoned: 1 });
    expect(await cleanupOf(world, run.id)).toMatchObject({
      state: "abandoned",
      attempts: 2,
      error: "sandbox_api delete_sandbox returned HTTP 503",
    });
    reply = undefined;
    await setDueIn(world, run.id);
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 0, abandoned: 0 });
    expect(deletions(world)).toHaveLength(2);
  });

  it("does not come less than a day after the verdict", async () => {
    const run = await failOnceAndAge(DAY_S - 60);
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "pending", attempts: 2 });
  });

  it("may be a success more than a day after the verdict", async () => {
    const run = await failOnceAndAge(DAY_S + 1);
    reply = undefined;
    expect((await world.sweep()).cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "done", error: null });
  });

  async function failOnceAndAge(seconds: number): Promise<SeededRun> {
    const run = await seedExited();
    await world.sweep();
    await world.database.sql`
      UPDATE watchdog.verdicts SET decided_at = now() - ${seconds}::float8 * interval '1 second'`;
    await setDueIn(world, run.id);
    return run;
  }

  function seedExited(): Promise<SeededRun> {
    const bashCommandId = randomCommandId();
    return world.seed({ bashCommandId }, { outputs: [exitedWith(0, { bashCommandId })] });
  }
});

import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { seedRuns } from "../fake-host/seed.ts";
import { createWorld, type World } from "../support/world/world.ts";
import { onceInProcess } from "./once-in-process.ts";

describe("the progress bar of once", () => {
  it("counts a long sweep on a terminal, on stderr, and leaves stdout to the report", async () => {
    await using world = await worldWithRuns(60);
    const { stdout, stderr } = await onceInProcess(world.env, [], { terminal: true });
    expect(stripVTControlCharacters(stderr)).toContain("sweeping");
    expect(stderr).toContain("60/60 runs");
    expect(stdout).toMatch(/^swept 60 stale runs in /);
    expect(stdout).not.toContain("sweeping");
  });

  it("counts up to the limit, not to the backlog", async () => {
    await using world = await worldWithRuns(70);
    const { stderr } = await onceInProcess(world.env, ["--limit", "50"], { terminal: true });
    expect(stderr).toContain("50/50 runs");
    expect(stderr).not.toContain("/70 runs");
  });

  it("is not shown for a few named runs of a large backlog", async () => {
    await using world = await worldWithRuns(60);
    const { id } = await world.seed();
    const { stderr } = await onceInProcess(world.env, ["--run", id], { terminal: true });
    expect(stderr).toBe("");
  });

  it("is not shown where there is no terminal", async () => {
    await using world = await worldWithRuns(60);
    expect((await onceInProcess(world.env, [])).stderr).toBe("");
  });

  it("is not shown to a program that reads JSON", async () => {
    await using world = await worldWithRuns(60);
    const { stderr } = await onceInProcess(world.env, ["--output", "json"], { terminal: true });
    expect(stderr).toBe("");
  });
});

async function worldWithRuns(count: number): Promise<World> {
  const world = await createWorld();
  await seedRuns(
    world.database.sql,
    Array.from({ length: count }, () => ({ sandboxId: null })),
  );
  return world;
}

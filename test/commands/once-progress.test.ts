import { describe, expect, it } from "vitest";
import { seedRuns } from "../fake-host/seed.ts";
import { createWorld, type World } from "../support/world/world.ts";
import { onceInProcess } from "./once-in-process.ts";

describe("the progress bar of once", () => {
  it("shows on a terminal how a sweep goes that takes its time, on stderr", async () => {
    await using world = await createWorld();
    for (let count = 0; count < 3; count += 1) await world.seed();
    const { stdout, stderr } = await slowSweep(world, []);
    expect(stderr).toMatch(/sweeping [█░]+ \d of 3 runs/);
    expect(stdout).toMatch(/^swept 3 stale runs in /);
    expect(stdout).not.toContain("sweeping");
  });

  it("counts up to the limit, not to the backlog", async () => {
    await using world = await createWorld();
    for (let count = 0; count < 3; count += 1) await world.seed();
    const { stderr } = await slowSweep(world, ["--limit", "2"]);
    expect(stderr).toMatch(/ of 2 runs/);
    expect(stderr).not.toContain(" of 3 runs");
  });

  it("counts the named runs, whatever the backlog", async () => {
    await using world = await createWorld();
    await seedRuns(world.database.sql, [{ sandboxId: null }, { sandboxId: null }]);
    const { id } = await world.seed();
    expect((await slowSweep(world, ["--run", id])).stderr).toMatch(/ of 1 run\b/);
  });

  it("is not shown where there is no terminal", async () => {
    await using world = await createWorld();
    await world.seed();
    expect((await onceInProcess(world.env, [])).stderr).toBe("");
  });

  it("is not shown to a program that reads JSON", async () => {
    await using world = await createWorld();
    await world.seed();
    const { stderr } = await onceInProcess(world.env, ["--output", "json"], { terminal: true });
    expect(stderr).toBe("");
  });
});

/** On a terminal; the backend answers when the bar is there. */
async function slowSweep(world: World, args: readonly string[]) {
  const { promise: shown, resolve } = Promise.withResolvers<undefined>();
  world.host.intercept(() => shown);
  return await onceInProcess({ ...world.env, WATCHDOG_VERIFY_TIMEOUT: "5m" }, args, {
    terminal: true,
    onStderr: (text) => {
      if (text.includes("sweeping")) resolve(undefined);
    },
  });
}

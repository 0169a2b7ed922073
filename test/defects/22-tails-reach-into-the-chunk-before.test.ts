import { expect, it } from "vitest";
import type { BashOutput } from "../fake-host/model.ts";
import { createWorld, exitedWith, randomCommandId } from "../support/world/world.ts";

it("a failure whose last event has little output left shows the end of what came before it", async () => {
  await using world = await createWorld();
  const bashCommandId = randomCommandId();
  const run = { bashCommandId };
  const chunk = "x".repeat(1024 * 1024 - 8);
  const outputs = [
    { ...exitedWith(null, run), order: 0, stderr: `${chunk} too old` },
    { ...exitedWith(null, run), order: 1, stderr: `${chunk} because` },
    { ...exitedWith(1, run), order: 2, stderr: " of this", stdout: "the end" },
  ];
  const { id } = await world.seed({ bashCommandId }, { outputs });

  expect((await world.sweep()).counts).toMatchObject({ failed: 1 });

  const tail = `${"x".repeat(984)} because of this`;
  expect((await world.row(id)).error_detail).toBe(`exit_code=1\nstderr: ${tail}\nstdout: the end`);
  expect(world.host.traffic.of("events").seen).toBe(2);
});

it("the exit code stands when the output before it cannot be had", async () => {
  await using world = await createWorld();
  const bashCommandId = randomCommandId();
  const outputs = [{ ...exitedWith(1, { bashCommandId }), order: 1, stderr: "the end" }];
  const { id } = await world.seed({ bashCommandId }, { outputs });
  world.host.intercept(({ query }) => (query.has("timestamp__lt") ? "reset" : undefined));

  expect((await world.sweep()).counts).toMatchObject({ failed: 1 });
  expect((await world.row(id)).error_detail).toBe("exit_code=1\nstderr: the end");
});

it("nothing further is asked where nothing is missing, and what does not come right before is left out", async () => {
  await using world = await createWorld();
  const { row, host } = world;
  const full = { stderr: "e".repeat(1000), stdout: "o".repeat(500) };
  await seed(1, [{ order: 1, ...full }]);
  await seed(0, [{ order: 1, stderr: "short" }]);
  await seed(1, [{ order: 0, stderr: "short" }]);
  expect((await world.sweep()).counts).toMatchObject({ failed: 2, completed: 1 });
  expect(host.traffic.of("events").seen).toBe(3);

  const gap = await seed(1, [
    { order: 0, stderr: "too old" },
    { order: 2, ...full, stderr: full.stderr.slice(1) },
  ]);
  await world.sweep();
  expect(host.traffic.of("events").seen).toBe(5);
  expect((await row(gap)).error_detail).not.toContain("too old");

  /** The last event has the exit code. */
  async function seed(exitCode: number, chunks: readonly Partial<BashOutput>[]) {
    const bashCommandId = randomCommandId();
    const outputs = chunks.map((chunk, index) => ({
      ...exitedWith(index === chunks.length - 1 ? exitCode : null, { bashCommandId }),
      ...chunk,
    }));
    return (await world.seed({ bashCommandId }, { outputs })).id;
  }
});

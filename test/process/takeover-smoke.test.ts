import { expect, it } from "vitest";
import { runOnce, startWorker } from "../support/worker-process.ts";
import { createWorld } from "../support/world.ts";

it("smoke", async () => {
  await using world = await createWorld();
  await world.seed();
  await using worker = await startWorker({ ...world.env, WATCHDOG_SCHEDULE: "* * * * * *" });
  const url = await worker.healthUrl();
  const res = await fetch(`${url}/health`);
  console.log(await res.text());
  await worker.waitForLog("sweep finished").catch((e) => console.log(e.message));
  console.log(worker.logs);
  worker.kill();
  console.log(await worker.exited);
  console.log(await runOnce(world.env, ["once", "--output", "json"]));
  expect(1).toBe(1);
});

/** What an operator reads of a sweep that hangs: in memory, because that takes minutes. */
import { expect, it, vi } from "vitest";
import { gaugesOf } from "../../../src/app/gauges.ts";
import { healthAnswers } from "../../../src/app/health.ts";
import { parseConfig } from "../../../src/config/config.ts";
import { INSTALLATION } from "../../support/memory/memory-leadership.ts";
import { workerWorld } from "../../support/stands/worker-world.ts";

const BUILD = { version: "0", node: "0", fingerprint: "0" };
const POOL = { size: 8, inUse: 0, waiting: 0, leftBehind: 0 };
const ENV = {
  DATABASE_URL: "postgres://u@h/d",
  AUTOMATION_OPENHANDS_API_BASE_URL: "https://api.example",
  AUTOMATION_SERVICE_KEY: "key",
};
const WEDGED = "the running sweep has made no progress for 120 s: restart this worker";

it("an operator reads that a sweep hangs, and what to do, while others may sweep again", async () => {
  const { worker, db, backend, clock, lines, lease, run, tick } = workerWorld();
  db.add({ sandboxId: "sandbox" });
  vi.spyOn(backend, "verify").mockReturnValue(new Promise(() => {}));
  void run();
  await clock.advance(0);
  await tick();
  for (let minute = 0; minute < 2; minute += 1) {
    await clock.advance(60_000);
    await tick();
  }
  await clock.advance(1);
  const answers = healthAnswers(parseConfig(ENV, () => "").config, BUILD, () => worker.facts());
  expect(answers["/livez"]()).toEqual({
    status: 503,
    body: { status: "failing", reasons: [WEDGED] },
  });
  expect(answers["/health"]().body).toMatchObject({
    status: "failing",
    reasons: [WEDGED],
    role: "sweeping",
  });
  const metrics = gaugesOf({ build: BUILD, facts: worker.facts(), sight: null, pool: POOL });
  expect(metrics).toContainEqual({
    name: "watchdog_health",
    value: 1,
    labels: { status: "failing" },
  });
  const lost = lines.find(({ message }) => message === "lease lost");
  // So `once` sweeps, and `status` has nothing to say but who is to be missed after three ticks.
  expect(await lease.acquire(INSTALLATION, "other", 1000)).toEqual({ kind: "acquired" });
  expect(lost).toMatchObject({
    level: "warn",
    fields: { err: { message: "no progress for 60 s" } },
  });
});

import { describe, expect, it, vi } from "vitest";
import { type Backend, createWatchdog, parseConfig } from "../../../src/index.ts";
import { createWorld } from "../../support/world/world.ts";

const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *" };

function backendThatSays(exitCode: number): Backend {
  return {
    name: "the host's own",
    cleans: false,
    verify: async () => ({ kind: "exited", exitCode, stdout: "", stderr: "" }),
    cleanup: async () => ({ kind: "deleted" }),
  };
}

describe("createWatchdog", () => {
  it("sweeps with a backend of the host's own", async () => {
    await using world = await createWorld();
    const run = await world.seed();
    const { config } = parseConfig(world.env, () => "");
    await using watchdog = createWatchdog(config, { backend: backendThatSays(7), name: "host-7" });

    const report = await watchdog.sweepOnce(new AbortController().signal);

    expect(report).toMatchObject({ status: "ok", counts: { failed: 1 } });
    expect(report?.holder).toMatch(/^host-7\//);
    expect(await world.row(run.id)).toMatchObject({ error_detail: "exit_code=7" });
    expect(world.host.traffic.of("all").seen).toBe(0);
  });

  it("runs on the schedule until it is told to stop", async () => {
    await using world = await createWorld();
    const run = await world.seed();
    const { config } = parseConfig({ ...world.env, ...EVERY_SECOND }, () => "");
    await using watchdog = createWatchdog(config, { backend: backendThatSays(0) });
    const stop = new AbortController();

    const running = watchdog.run(stop.signal);
    await vi.waitFor(
      async () => expect(await world.row(run.id)).toMatchObject({ status: "COMPLETED" }),
      20_000,
    );
    stop.abort();
    await running;

    expect(watchdog.facts()).toMatchObject({ postgres: "ok", lease: "ok", role: "idle" });
  });

  it("answers with nothing while another worker holds the lease", async () => {
    await using world = await createWorld();
    const { config } = parseConfig(world.env, () => "");
    await world.database.sql`
      UPDATE watchdog.leadership
      SET holder = 'other/1/x/token', lease_expires_at = now() + interval '1 hour'`;
    await using watchdog = createWatchdog(config, { backend: backendThatSays(0) });

    expect(await watchdog.sweepOnce(new AbortController().signal)).toBeNull();
  });

  it("explains a run with a backend of the host's own, and writes nothing", async () => {
    await using world = await createWorld();
    const run = await world.seed();
    const { config } = parseConfig(world.env, () => "");
    await using watchdog = createWatchdog(config, { backend: backendThatSays(7) });
    const { signal } = new AbortController();

    expect(await watchdog.explain(run.id.toUpperCase(), signal)).toMatchObject({
      runId: run.id,
      now: { outcome: { action: "failed", reason: "exit_code=7" } },
    });
    expect(await world.row(run.id)).toMatchObject({ status: "RUNNING" });
    expect(await watchdog.explain(crypto.randomUUID(), signal)).toBeNull();
    await expect(watchdog.explain("17", signal)).rejects.toThrow(TypeError);
  });
});

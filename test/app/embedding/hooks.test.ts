import { describe, expect, it, vi } from "vitest";
import {
  type Backend,
  createWatchdog,
  parseConfig,
  type RunOutcome,
  type SweepReport,
  type WatchdogHooks,
} from "../../../src/index.ts";
import { recordedLog } from "../../support/memory/recorded-log.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *" };

const ENDED: Backend = {
  name: "the host's own",
  cleans: false,
  verify: async () => ({ kind: "exited", exitCode: 0, stdout: "", stderr: "" }),
  cleanup: async () => ({ kind: "deleted" }),
};
const GONE: Backend = { ...ENDED, verify: async () => ({ kind: "gone", reason: "missing" }) };

describe("createWatchdog with hooks", () => {
  it("tells each outcome and the report of a sweep that the host asks for", async () => {
    await using world = await createWorld();
    const runs = [await world.seed(), await world.seed()];
    const told = recordedHooks();
    await using watchdog = watch(world, ENDED, told.hooks);

    const report = await watchdog.sweepOnce(calm());

    expect(told.outcomes.map(({ runId }) => runId).toSorted()).toEqual(
      runs.map(({ id }) => id).toSorted(),
    );
    expect(told.outcomes).toMatchObject([{ action: "completed" }, { action: "completed" }]);
    expect(told.reports).toEqual([report]);
    expect(told.holds).toEqual([]);
  });

  it("tells them of a dry run as well", async () => {
    await using world = await createWorld();
    await world.seed();
    const told = recordedHooks();
    await using watchdog = watch(world, ENDED, told.hooks);
    const report = await watchdog.sweepOnce(calm(), { dryRun: true });
    expect(told.outcomes).toMatchObject([{ action: "completed" }]);
    expect(told.reports).toEqual([report]);
    expect(told.reports).toMatchObject([{ dryRun: true }]);
  });

  it("tells why the guard holds verdicts back", async () => {
    await using world = await createWorld();
    await world.seed();
    const told = recordedHooks();
    await using watchdog = watch(world, GONE, told.hooks, { WATCHDOG_GUARD_MIN: "0" });
    await watchdog.sweepOnce(calm());
    expect(told.outcomes).toMatchObject([{ action: "held" }]);
    expect(told.holds).toHaveLength(1);
    expect(told.outcomes[0]?.reason).toContain(told.holds[0]);
  });

  it("tells the sweeps of the schedule, and health knows what it knew without hooks", async () => {
    await using world = await createWorld();
    await world.seed();
    const told = recordedHooks();
    const env = { ...EVERY_SECOND, WATCHDOG_GUARD_MIN: "0" };
    await using watchdog = watch(world, GONE, told.hooks, env);
    const stop = new AbortController();
    const running = watchdog.run(stop.signal);
    await vi.waitFor(() => expect(watchdog.facts().ownLastSweep).not.toBeNull(), 60_000);
    const { heldFor, ownLastSweep } = watchdog.facts();
    stop.abort();
    await running;
    expect(told.holds).not.toEqual([]);
    expect(heldFor).toBe(told.holds[0]);
    expect(told.reports).toContainEqual(ownLastSweep);
    expect(told.reports[0]).toMatchObject({ trigger: "cron" });
  });

  it("tells nothing of a sweep that another worker makes", async () => {
    await using world = await createWorld();
    await world.database.sql`
      UPDATE watchdog.leadership
      SET holder = 'other/1/x/token', lease_expires_at = now() + interval '1 hour'`;
    const told = recordedHooks();
    await using watchdog = watch(world, ENDED, told.hooks);
    expect(await watchdog.sweepOnce(calm())).toBeNull();
    expect(told.reports).toEqual([]);
  });

  const never = () => new Promise(() => {});
  const boom = () => {
    throw new TypeError("boom");
  };
  const rejects = async () => boom();
  for (const [how, hook] of [
    ["throw", boom],
    ["reject", rejects],
    ["never answer", never],
  ] as const) {
    it(`sweeps as it would without hooks when they ${how}`, async () => {
      await using world = await createWorld();
      const runs = [await world.seed(), await world.seed()];
      const { log, entries } = recordedLog();
      const hooks = { onOutcome: hook, onHold: hook, onSweep: hook };
      await using watchdog = watch(world, ENDED, { ...hooks, log });

      const report = await watchdog.sweepOnce(calm());

      expect(report).toMatchObject({ status: "ok", counts: { completed: 2 } });
      for (const { id } of runs) expect((await world.row(id)).status).toBe("COMPLETED");
      const said = entries.filter(({ level }) => level === "error");
      const failed = how === "never answer" ? [] : ["onOutcome", "onSweep"];
      expect(said.map(({ fields }) => fields["hook"])).toEqual(failed);
    });
  }

  it("keeps its report as it is when a hook changes what it was given", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    const spoil = (report: SweepReport) => Object.assign(report.counts, { completed: 99 });
    const onOutcome = (outcome: RunOutcome) => Object.assign(outcome, { action: "error" });
    await using watchdog = watch(world, ENDED, { onOutcome, onSweep: spoil });
    expect(await watchdog.sweepOnce(calm())).toMatchObject({
      counts: { completed: 1 },
      runs: [{ runId: id, action: "completed" }],
    });
  });
});

function watch(
  { env }: World,
  backend: Backend,
  options: Omit<Parameters<typeof createWatchdog>[1] & object, "backend">,
  extra: Readonly<Record<string, string>> = {},
) {
  const { config } = parseConfig({ ...env, ...extra }, () => "", { backend: "own" });
  return createWatchdog(config, { backend, ...options });
}

function recordedHooks() {
  const outcomes: RunOutcome[] = [];
  const holds: string[] = [];
  const reports: SweepReport[] = [];
  const hooks: WatchdogHooks = {
    onOutcome: (outcome) => outcomes.push(outcome),
    onHold: (reason) => holds.push(reason),
    onSweep: async (report) => void reports.push(report),
  };
  return { outcomes, holds, reports, hooks };
}

function calm(): AbortSignal {
  return new AbortController().signal;
}

import { describe, expect, it } from "vitest";
import {
  type Backend,
  ConfigError,
  createWatchdog,
  health,
  migrate,
  parseConfig,
  StoreUnavailableError,
  type SweepOnceOptions,
  type Watchdog,
} from "../../../src/index.ts";
import { freePort } from "../../services/free-port.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const ENDED: Backend = {
  name: "the host's own",
  cleans: false,
  verify: async () => ({ kind: "exited", exitCode: 0, stdout: "", stderr: "" }),
  cleanup: async () => ({ kind: "deleted" }),
};

const GONE: Backend = {
  ...ENDED,
  verify: async () => ({ kind: "gone", reason: "missing", detail: "" }),
};

describe("sweepOnce", () => {
  it("writes nothing in a dry run, and says what it would do", async () => {
    await using world = await createWorld();
    const run = await world.seed();
    await using watchdog = watch(world, ENDED);
    const report = await sweep(watchdog, { dryRun: true });
    expect(report).toMatchObject({ dryRun: true, epoch: null, counts: { completed: 1 } });
    expect((await world.row(run.id)).status).toBe("RUNNING");
  });

  it("takes up the named runs and no others, whatever way their ids are written", async () => {
    await using world = await createWorld();
    const [named, other] = [await world.seed(), await world.seed()];
    await using watchdog = watch(world, ENDED);
    const runIds = [named.id, named.id.replaceAll("-", "").toUpperCase()];
    const report = await sweep(watchdog, { runIds });
    expect(report).toMatchObject({ counts: { stale: 1, completed: 1 } });
    expect((await world.row(other.id)).status).toBe("RUNNING");
  });

  it("takes up no more runs than its limit", async () => {
    await using world = await createWorld();
    await world.seed();
    await world.seed();
    await using watchdog = watch(world, ENDED);
    expect(await sweep(watchdog, { limit: 1 })).toMatchObject({ counts: { stale: 1 } });
  });

  it("lets what the guard holds pass for a reason, which the journal keeps without what it cannot hold", async () => {
    await using world = await createWorld();
    for (let run = 0; run < 7; run += 1) await world.seed();
    await using watchdog = watch(world, GONE);
    expect(await sweep(watchdog)).toMatchObject({ status: "held", counts: { held: 7 } });
    const overrideReason = " cluster\0 rebuilt ";
    expect(await sweep(watchdog, { overrideReason })).toMatchObject({ counts: { failed: 7 } });
    const reasons = await world.database.sql`
      SELECT DISTINCT override_reason AS reason FROM watchdog.verdicts`;
    expect(reasons).toMatchObject([{ reason: "cluster rebuilt" }]);
  });

  const wrong: readonly (readonly [name: string, options: SweepOnceOptions])[] = [
    ["a limit of none", { limit: 0 }],
    ["a limit that is no whole number", { limit: 1.5 }],
    ["a run id that is no UUID", { runIds: ["x' OR 1=1"] }],
    ["a reason that says nothing", { overrideReason: " \0 " }],
  ];
  for (const [name, options] of wrong) {
    it(`refuses ${name} before it asks anybody`, async () => {
      const { config } = parseConfig(await unreachable(), () => "", { backend: "own" });
      await using watchdog = createWatchdog(config, { backend: ENDED });
      await expect(sweep(watchdog, options)).rejects.toThrow(TypeError);
    });
  }

  it("rejects with an error of the store's class when Postgres is away", async () => {
    const { config } = parseConfig(await unreachable(), () => "", { backend: "own" });
    await using watchdog = createWatchdog(config, { backend: ENDED });
    await expect(sweep(watchdog)).rejects.toThrow(StoreUnavailableError);
    await expect(sweep(watchdog, { dryRun: true })).rejects.toThrow(StoreUnavailableError);
  });
});

describe("createWatchdog", () => {
  it("needs a backend when the configuration was parsed for one of the host's own", async () => {
    const { config } = parseConfig(await unreachable(), () => "", { backend: "own" });
    expect(() => createWatchdog(config)).toThrow(ConfigError);
  });

  it("answers as the command's health endpoint does, and the rules agree", async () => {
    await using world = await createWorld();
    await world.seed();
    await using watchdog = watch(world, ENDED);
    const facts = watchdog.facts();
    expect(watchdog.answer("/livez")).toEqual({ status: 200, body: { status: "ok", reasons: [] } });
    expect(watchdog.answer("/readyz")).toMatchObject({ status: 503 });
    const { status, reasons } = health(facts);
    expect(watchdog.answer("/health")).toMatchObject({
      status: 200,
      body: { status, reasons, role: "idle", build: { node: process.version } },
    });
  });
});

describe("migrate", () => {
  it("tells what is missing, creates it, and finds nothing to do after that", async () => {
    await using world = await createWorld({ migrate: false });
    const { config } = parseConfig(world.env, () => "");
    const { signal } = new AbortController();
    const { applied, total } = await migrate(config, signal, { check: true });
    expect(applied).toHaveLength(total);
    expect((await migrate(config, signal)).applied).toEqual(applied);
    expect((await migrate(config, signal)).applied).toEqual([]);
  });
});

function watch({ env }: World, backend: Backend): Watchdog {
  const once = { WATCHDOG_CONFIRMATIONS: "1", WATCHDOG_GUARD_MIN: "5" };
  const { config } = parseConfig({ ...env, ...once }, () => "", { backend: "own" });
  return createWatchdog(config, { backend });
}

function sweep(watchdog: Watchdog, options?: SweepOnceOptions) {
  return watchdog.sweepOnce(new AbortController().signal, options);
}

async function unreachable() {
  return { DATABASE_URL: `postgres://me:pw@127.0.0.1:${await freePort("127.0.0.1")}/app` };
}

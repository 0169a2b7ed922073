/** A backend of the host's own that breaks its promises: it costs its own runs their answers, and nobody else anything. */
import { describe, expect, it } from "vitest";
import { createWatchdog, parseConfig } from "../../../src/index.ts";
import type { Backend } from "../../../src/watchdog/ports.ts";
import { seriesValue } from "../../support/process/ask-metrics.ts";
import { cleanupOf } from "../../support/world/cleanup-rows.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const SOON = { WATCHDOG_VERIFY_TIMEOUT: "1s" };
/** As long as it can be: a question that is waited for shows. */
const LATE = { WATCHDOG_VERIFY_TIMEOUT: "5m" };
const EXITED = { kind: "exited", exitCode: 0, stdout: "", stderr: "" };
const GONE = { kind: "gone", reason: "missing" };

type Answer = (signal: AbortSignal) => unknown;

const never: Answer = () => new Promise(() => {});

/** Written without types: answers about the runs it was told about, all others have ended well. */
function backendOf(answers: ReadonlyMap<string, Answer>, parts: object = {}): Backend {
  const verify = ({ id }: { readonly id: string }, signal: AbortSignal) => {
    const answer = answers.get(id);
    return answer === undefined ? Promise.resolve(EXITED) : answer(signal);
  };
  const cleanup = async () => ({ kind: "deleted" });
  return { name: "theirs", cleans: false, verify, cleanup, ...parts } as unknown as Backend;
}

function watch(world: World, backend: Backend, env: Readonly<Record<string, string>>) {
  const { config } = parseConfig({ ...world.env, ...env }, () => "");
  return createWatchdog(config, { backend });
}

function calm(): AbortSignal {
  return new AbortController().signal;
}

const broken: readonly (readonly [how: string, answer: Answer, action: string])[] = [
  ["never answers", never, "undetermined"],
  [
    "answers only when its time is over",
    (signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(EXITED))),
    "undetermined",
  ],
  ["answers with nothing", async () => undefined, "undetermined"],
  ["answers of an unknown kind", async () => ({ kind: "dead" }), "undetermined"],
  ["answers with half an exit", async () => ({ kind: "exited", exitCode: "0" }), "undetermined"],
  ["rejects", async () => Promise.reject(new TypeError("boom")), "error"],
  [
    "throws",
    () => {
      throw new TypeError("boom");
    },
    "error",
  ],
];

describe("createWatchdog with a backend of the host's own", () => {
  it("counts the questions like those of the backends that come with it", async () => {
    await using world = await createWorld();
    const [, bad] = [await world.seed(), await world.seed()];
    const backend = backendOf(new Map([[bad.id, async () => undefined]]), { cleans: true });
    await using watchdog = watch(world, backend, SOON);
    await watchdog.sweepOnce(calm());
    const { text } = await watchdog.metrics();
    const verify = 'source="backend",operation="verify"';
    const cleanup = 'source="backend",operation="cleanup"';
    expect(seriesValue(text, `watchdog_backend_calls_total{${verify},result="ok"}`)).toBe(1);
    expect(seriesValue(text, `watchdog_backend_calls_total{${verify},result="malformed"}`)).toBe(1);
    expect(seriesValue(text, `watchdog_backend_calls_total{${cleanup},result="ok"}`)).toBe(1);
    expect(seriesValue(text, `watchdog_backend_call_duration_seconds_count{${verify}}`)).toBe(2);
  });
});

describe("createWatchdog with a backend that breaks its promises", () => {
  for (const [how, answer, action] of broken) {
    it(`goes on with the others when a question ${how}`, async () => {
      await using world = await createWorld();
      const before = await world.seed({ overdueMs: 180_000 });
      const bad = await world.seed({ overdueMs: 120_000 });
      const after = await world.seed();
      const backend = backendOf(new Map([[bad.id, answer]]));
      await using watchdog = watch(world, backend, { ...SOON, WATCHDOG_CONCURRENCY: "1" });

      const report = await watchdog.sweepOnce(calm());

      const actions = new Map(report?.runs.map((run) => [run.runId, run.action]));
      expect(actions.get(bad.id)).toBe(action);
      for (const { id } of [before, after]) {
        expect(actions.get(id)).toBe("completed");
        expect((await world.row(id)).status).toBe("COMPLETED");
      }
      expect(await world.row(bad.id)).toMatchObject({ status: "RUNNING", error_detail: null });
    });
  }

  it("says in the run's row that there was no answer in time", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    await using watchdog = watch(world, backendOf(new Map([[id, never]])), SOON);
    await watchdog.sweepOnce(calm());
    expect(JSON.parse((await world.row(id)).status_detail ?? "")).toMatchObject({
      phase: "verification",
      kind: "timeout",
      detail: "backend verify timed out: no answer within 1000 ms",
      fingerprint: "backend:verify:timeout:",
      transient: true,
    });
  });

  it("takes no silent run that should be alive for a sign of life", async () => {
    await using world = await createWorld();
    const dead = await world.seed();
    const controlRun = await world.seed({ overdueMs: -600_000 });
    const answers = new Map([
      [dead.id, async () => GONE],
      [controlRun.id, never],
    ]);
    await using watchdog = watch(world, backendOf(answers), SOON);

    const report = await watchdog.sweepOnce(calm());

    expect(report?.runs).toMatchObject([{ runId: dead.id, action: "held" }]);
    expect((await world.row(dead.id)).status).toBe("RUNNING");
  });

  it("ends a sweep that is aborted while a question ignores its signal", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    const stop = new AbortController();
    const answer = () => {
      setImmediate(() => stop.abort());
      return never(stop.signal);
    };
    await using watchdog = watch(world, backendOf(new Map([[id, answer]])), LATE);

    const report = await watchdog.sweepOnce(stop.signal);

    expect(report?.status).toBe("interrupted");
    expect((await world.row(id)).status).toBe("RUNNING");
  });

  it("stops a worker while a question ignores its signal", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    const stop = new AbortController();
    const answer = () => {
      setImmediate(() => stop.abort());
      return never(stop.signal);
    };
    const env = { ...LATE, WATCHDOG_SCHEDULE: "* * * * * *" };
    await using watchdog = watch(world, backendOf(new Map([[id, answer]])), env);

    await watchdog.run(stop.signal);

    expect(watchdog.facts().role).toBe("idle");
    const [lease] = await world.database.sql`
      SELECT coalesce(lease_expires_at > now(), false) AS held FROM watchdog.leadership`;
    expect(lease).toEqual({ held: false });
  });

  it("tries a deletion again that was answered with nothing", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    const backend = backendOf(new Map(), { cleans: true, cleanup: async () => undefined });
    await using watchdog = watch(world, backend, SOON);

    const report = await watchdog.sweepOnce(calm());

    expect(report).toMatchObject({ status: "ok", counts: { completed: 1 } });
    expect(await cleanupOf(world, id)).toMatchObject({
      state: "pending",
      attempts: 1,
      error: "backend cleanup answered with an unexpected shape",
    });
  });

  it("sweeps on when what it says of its API throws", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    const boom = () => {
      throw new TypeError("boom");
    };
    const api = Object.defineProperties(
      { restore: boom },
      Object.fromEntries(
        ["throttle", "breaker", "blockedReason"].map((name) => [name, { get: boom }]),
      ),
    );
    await using watchdog = watch(world, backendOf(new Map(), { api }), SOON);

    const report = await watchdog.sweepOnce(calm());

    expect(report).toMatchObject({ status: "ok", counts: { completed: 1 } });
    expect((await world.row(id)).status).toBe("COMPLETED");
    expect(watchdog.facts()).toMatchObject({ apiRefusal: null });
  });
});

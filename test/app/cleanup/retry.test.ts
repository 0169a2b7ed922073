import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { html, json, type Reply } from "../../fake-host/model.ts";
import type { SeededRun } from "../../fake-host/seed.ts";
import { cleanupOf, deletions, setDueIn } from "../../support/world/cleanup-rows.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

const MINUTE_MS = 60_000;

interface FailureCase {
  readonly name: string;
  readonly reply: Reply;
  readonly error: string;
  /** Before the spread. */
  readonly retryInS: number;
  readonly env?: Readonly<Record<string, string>>;
}

const failures: readonly FailureCase[] = [
  { name: "500", reply: html(500, "Trouble"), error: "returned HTTP 500", retryInS: 30 },
  {
    name: "404, which proves nothing",
    reply: json(404, { detail: "Sandbox not found" }),
    error: "returned HTTP 404",
    retryInS: 30,
  },
  {
    name: "a redirect",
    reply: { status: 307, headers: { location: "/elsewhere" } },
    error: "returned HTTP 307",
    retryInS: 30,
  },
  {
    name: "401 that a new key does not heal",
    reply: json(401, { detail: "Invalid API key" }),
    error: "returned HTTP 401",
    retryInS: 30,
  },
  { name: "429", reply: html(429, "Slow down"), error: "returned HTTP 429", retryInS: 30 },
  {
    name: "429 that asks for less",
    reply: limited("29"),
    error: "returned HTTP 429",
    retryInS: 30,
  },
  {
    name: "429 that asks for more",
    reply: limited("120"),
    error: "returned HTTP 429",
    retryInS: 120,
  },
  {
    name: "429 that asks for a day, of which five minutes are granted",
    reply: limited("86400"),
    error: "returned HTTP 429",
    retryInS: 300,
  },
  { name: "a reset", reply: "reset", error: "transport error: ECONNRESET", retryInS: 30 },
  {
    name: "silence",
    reply: "silence",
    error: "timed out: no complete answer within 5000 ms",
    retryInS: 30,
    env: { WATCHDOG_VERIFY_TIMEOUT: "5s" },
  },
];

describe("a deletion that fails", () => {
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

  for (const { name, error, retryInS, env = {}, reply: answer } of failures) {
    it(`stays pending with its cause and waits after ${name}`, async () => {
      reply = answer;
      const run = await seedExited();
      const since = await now();
      const report = await sweep(0, env);
      expect(report.counts.completed).toBe(1);
      expect(report.cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
      expect(await cleanupOf(world, run.id)).toMatchObject({
        state: "pending",
        attempts: 1,
        error: `sandbox_api delete_sandbox ${error}`,
      });
      expect(await isDueAfter(run.id, since, retryInS)).toBe(true);
    });
  }

  it("is not even claimed while the API has asked for a pause, also by another worker", async () => {
    const run = await seedExited();
    await sweep(0);
    // All keys are minted with the same one, so what the API says to that is for everybody.
    const recover = world.host.intercept(({ kind }) =>
      kind === "mint" ? limited("120") : undefined,
    );
    await seedExited();
    await sweep(0);
    recover();
    await setDueIn(world, run.id);
    expect((await sweep(0)).cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "pending", attempts: 1 });
    expect(deletions(world)).toHaveLength(1);

    reply = undefined;
    await world.database.sql`UPDATE watchdog.leadership SET api_paused_until = now()`;
    expect((await sweep(0)).cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
  });

  it("is not tried again before its time", async () => {
    const run = await seedExited();
    await sweep(0);
    await setDueIn(world, run.id, 10 * MINUTE_MS);
    expect((await sweep(0)).cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
    expect(deletions(world)).toHaveLength(1);
  });

  it("waits twice as long each time, and forgets its cause when it succeeds", async () => {
    const run = await seedExited();
    await sweep(0);
    const since = await now();
    await setDueIn(world, run.id);
    await sweep(0);
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "pending", attempts: 2 });
    expect(await isDueAfter(run.id, since, 60)).toBe(true);

    reply = undefined;
    await setDueIn(world, run.id);
    expect((await sweep(0)).cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
    expect(await cleanupOf(world, run.id)).toEqual({
      state: "done",
      attempts: 3,
      error: null,
      nextInMs: null,
      nextAfterVerdictMs: null,
    });
  });

  it("spreads its next attempt over a quarter", async () => {
    const run = await seedExited();
    const since = await now();
    await sweep(0.8);
    expect(await isDueAfter(run.id, since, 36)).toBe(true);
  });

  it("waits 32 minutes after seven attempts, and an hour after eight", async () => {
    const run = await seedExited();
    await sweep(0);
    await world.database.sql`UPDATE watchdog.verdicts SET cleanup_attempts = 6`;
    for (const waitS of [32 * 60, 3600, 3600]) {
      const since = await now();
      await setDueIn(world, run.id);
      await sweep(0);
      expect(await isDueAfter(run.id, since, waitS)).toBe(true);
    }
  });

  it("does not keep the others from being deleted", async () => {
    const [failing, other] = [await seedExited(), await seedExited()];
    reply = undefined;
    world.host.intercept(({ kind, sandboxId }) =>
      kind === "delete" && sandboxId === failing.sandboxId ? "reset" : undefined,
    );
    expect((await sweep(0)).cleanups).toEqual({ done: 1, pending: 1, abandoned: 0 });
    expect(world.host.sandbox(other.sandboxId ?? "")).toBeUndefined();
  });

  /** @param fraction of the spread. */
  function sweep(fraction: number, env: Readonly<Record<string, string>> = {}) {
    const random = { token: () => "term", fraction: () => fraction };
    return world.sweep({ env, replace: () => ({ random }) });
  }

  async function now(): Promise<string> {
    const [row] = await world.database.sql<{ now: string }[]>`SELECT now()::text AS now`;
    return row?.now ?? "";
  }

  /** Whether the next attempt lies that far after some moment since then. */
  async function isDueAfter(runId: string, since: string, seconds: number): Promise<unknown> {
    const [row] = await world.database.sql`
      SELECT cleanup_next_at - ${seconds}::float8 * interval '1 second'
             BETWEEN ${since}::text::timestamptz AND now() AS due
      FROM watchdog.verdicts WHERE run_id = ${runId}`;
    return row?.["due"];
  }

  function seedExited(): Promise<SeededRun> {
    const bashCommandId = randomCommandId();
    return world.seed({ bashCommandId }, { outputs: [exitedWith(0, { bashCommandId })] });
  }
});

function limited(retryAfter: string): Reply {
  return { ...html(429, "Slow down"), headers: { "retry-after": retryAfter } };
}

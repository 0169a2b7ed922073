import { describe, expect, it, vi } from "vitest";
import type { ApiThrottle, SharedApi } from "../../../src/watchdog/ports.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { reportOf, sweepWorld } from "../../support/stands/sweep-world.ts";

const FREE: ApiThrottle = { pausedForMs: 0, concurrency: null };

describe("what the shared API asks for", () => {
  it("is told to a new leader before it asks anything", async () => {
    const { db, api, backend, lead } = world();
    db.add();
    db.leadership.apiPausedUntilMs = db.nowMs() + 90_000;
    db.leadership.apiConcurrency = 2;
    const verify = vi.spyOn(backend, "verify");
    await lead();
    expect(api.restore.mock.calls).toEqual([[{ pausedForMs: 90_000, concurrency: 2 }]]);
    expect(api.restore.mock.invocationCallOrder[0]).toBeLessThan(
      verify.mock.invocationCallOrder[0] ?? 0,
    );
  });

  it("is left to the next leader at the end of the sweep", async () => {
    const { db, api, lead } = world();
    api.throttle = { pausedForMs: 30_000, concurrency: 3 };
    await lead();
    expect(db.leadership).toMatchObject({
      apiPausedUntilMs: db.nowMs() + 30_000,
      apiConcurrency: 3,
    });
  });

  it("is forgotten when it asks for nothing any more", async () => {
    const { db, lead } = world();
    db.leadership.apiPausedUntilMs = db.nowMs() - 1;
    db.leadership.apiConcurrency = 2;
    await lead();
    expect(db.leadership).toMatchObject({ apiPausedUntilMs: null, apiConcurrency: null });
  });

  const stricter: readonly (readonly [string, ApiThrottle])[] = [
    ["a pause", { pausedForMs: 60_000, concurrency: null }],
    ["fewer calls at once", { pausedForMs: 0, concurrency: 7 }],
  ];
  for (const [name, throttle] of stricter) {
    it(`is noted within a second when it is ${name}, without waiting for progress`, async () => {
      const { db, clock, api, backend, lead } = world();
      const held = backend.holds(db.add().id);
      const swept = lead();
      await settle();
      api.throttle = throttle;
      await clock.advance(1000);
      expect(db.leadership).toMatchObject({
        apiPausedUntilMs: throttle.pausedForMs > 0 ? db.nowMs() + throttle.pausedForMs : null,
        apiConcurrency: throttle.concurrency,
      });
      held.answer({ kind: "running", output: "none" });
      expect(reportOf(await swept).status).toBe("ok");
    });
  }

  it("is not noted again while it merely runs down", async () => {
    const { db, clock, api, backend, leadership, lead } = world();
    const progress = vi.spyOn(leadership, "progress");
    const held = backend.holds(db.add().id);
    api.throttle = { pausedForMs: 60_000, concurrency: 2 };
    const swept = lead();
    await settle();
    api.throttle = { pausedForMs: 50_000, concurrency: 3 };
    await clock.advance(4000);
    expect(progress).not.toHaveBeenCalled();
    held.answer({ kind: "running", output: "none" });
    await swept;
  });
});

function world() {
  const base = sweepWorld();
  const api = {
    throttle: FREE,
    breaker: "closed" as const,
    blockedReason: null,
    restore: vi.fn<SharedApi["restore"]>(),
  };
  base.backend.api = api;
  return Object.assign(base, { api });
}

import { describe, expect, it, vi } from "vitest";
import type { AppliedRule, Explanation } from "../../../src/rules/history/explanation.ts";
import type { Evidence } from "../../../src/rules/model.ts";
import { StoreSchemaError, StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { explainRun } from "../../../src/watchdog/lead/explain-run.ts";
import type { LeadOptions } from "../../../src/watchdog/lead/model.ts";
import { MemoryJournalReader } from "../../support/memory/memory-journal-reader.ts";
import { failure, POLICY } from "../../support/stands/snapshot.ts";
import { GUARD, OPTIONS, sweepWorld } from "../../support/stands/sweep-world.ts";

const GONE: Evidence = { kind: "gone", reason: "missing" };
const ALIVE: Evidence = { kind: "running", output: "none" };
const SILENT: Evidence = { kind: "unreachable", failure: failure() };
const HARD_MS =
  POLICY.readyTimeoutMs + Math.min(POLICY.defaultRunMs, POLICY.maxRunMs) + POLICY.hardGraceMs;
const NOT_STALE = { timeoutAtMs: Number.MAX_SAFE_INTEGER / 2 };

describe("explainRun, about a presumption", () => {
  const sights = [
    { seen: 0, agoMs: null, counts: true, now: 1, missing: 1, action: "suspected" },
    { seen: 1, agoMs: 44_999, counts: false, now: 1, missing: 1, action: "suspected" },
    { seen: 1, agoMs: 45_000, counts: true, now: 2, missing: 0, action: "failed" },
  ];
  for (const { seen, agoMs, counts, now, missing, action } of sights) {
    it(`counts sights, after ${seen} and ${agoMs} ms: ${now}, ${missing} missing`, async () => {
      const stand = open({ confirmations: 2 });
      const { id } = stand.db.add();
      stand.backend.says(id, GONE);
      if (agoMs !== null) {
        const presumedLastAtMs = stand.db.nowMs() - agoMs;
        stand.db.suspect(id, { presumedTimes: seen, presumedLastAtMs });
      }
      stand.alive();
      const found = await stand.explain(id);
      expect(found.now?.outcome).toMatchObject({ action, reason: "sandbox missing" });
      const rule = ruleOf(found, "confirmation");
      expect(rule).toEqual({ rule: "confirmation", needed: 2, seen: now, missing, counts });
      expect(ruleOf(found, "guard")).toMatchObject({ asked: missing === 0, heldFor: null });
    });
  }

  it("tells what the guard knows before it is asked", async () => {
    const stand = open({ confirmations: 2 });
    const others = [stand.db.add(), stand.db.add()];
    for (const { id } of others) stand.db.suspect(id, { presumedTimes: 1 });
    stand.db.addVerdict({ basis: "presumption" });
    stand.db.addVerdict({ basis: "proof" });
    stand.db.leadership.lastReport = { counts: { completed: 30, deferred: 10 } };
    const { id } = stand.db.add();
    stand.backend.says(id, GONE);
    const { now } = await stand.explain(id);
    expect(now?.guard).toMatchObject({
      ...{ life: null, answered: 40, presumed: 3, massAbove: 10, massFailure: false },
      ...{ presumedLastHour: 1, hourlyCap: GUARD.perHour },
    });
  });

  for (const [presumed, massFailure] of [
    [5, false],
    [6, true],
  ] as const) {
    it(`${massFailure ? "shows" : "sees no"} mass failure with ${presumed} presumptions and 5 allowed`, async () => {
      const stand = open();
      for (let other = 1; other < presumed; other += 1) {
        stand.db.suspect(stand.db.add().id, { presumedTimes: 1 });
      }
      const { id } = stand.db.add();
      stand.backend.says(id, GONE);
      stand.alive();
      const { now } = await stand.explain(id);
      expect(now?.guard).toMatchObject({ presumed, massAbove: 5, massFailure, life: "seen" });
      const heldFor = massFailure ? "a mass: 6 presumptions, 0 runs answered" : null;
      expect(ruleOf({ now }, "guard")).toEqual({ rule: "guard", asked: true, heldFor });
      expect(now?.outcome.action).toBe(massFailure ? "held" : "failed");
    });
  }

  it("says whether a sign of life was found, and with nobody to ask that", async () => {
    const stand = open();
    const { id } = stand.db.add();
    stand.backend.says(id, GONE);
    expect((await stand.explain(id)).now?.guard.life).toBe("nobody-to-ask");
    stand.backend.says(stand.db.add(NOT_STALE).id, SILENT);
    const found = await stand.explain(id);
    expect(found.now?.guard.life).toBe("none");
    expect(ruleOf(found, "guard")).toMatchObject({ heldFor: "no sign of life from any run" });
    stand.alive();
    expect((await stand.explain(id)).now?.guard.life).toBe("seen");
  });

  it("says from when on only the hourly cap can hold it", async () => {
    const stand = open();
    const { id, beganAtMs } = stand.db.add();
    stand.backend.says(id, GONE);
    const boundAtMs = beganAtMs + HARD_MS + GUARD.unverifiableAfterMs;
    const { now } = await stand.explain(id);
    expect(now?.guard.boundAt).toBe(new Date(boundAtMs).toISOString());
  });
});

describe("explainRun, about time", () => {
  for (const [shortMs, passed] of [
    [1, false],
    [0, true],
  ] as const) {
    it(`says that the hard deadline is ${passed ? "met" : "ahead a millisecond before it"}`, async () => {
      const stand = open();
      const { id } = stand.db.add({ beganAtMs: stand.db.nowMs() - HARD_MS + shortMs });
      stand.backend.says(id, ALIVE);
      const found = await stand.explain(id);
      expect(ruleOf(found, "hard-deadline")).toMatchObject({ passed, decides: true });
      expect(found.now?.outcome.reason).toBe(passed ? "still running" : "running");
    });
  }

  it("asks about a run that is not due, and says until when no sweep takes it up", async () => {
    const stand = open();
    const { id } = stand.db.add({ timeoutAtMs: stand.db.nowMs() + 60_000 });
    stand.backend.says(id, { kind: "exited", exitCode: 0, stdout: "", stderr: "" });
    const found = await stand.explain(id);
    const at = new Date(stand.db.nowMs() + 60_000).toISOString();
    expect(found.nextLookAt).toBe(at);
    expect(ruleOf(found, "due")).toEqual({ rule: "due", due: false, at });
    expect(ruleOf(found, "proof")).toEqual({ rule: "proof" });
    expect(found.now?.outcome.action).toBe("completed");
  });

  it("goes by our own look behind a shield, and by the next try after a failure", async () => {
    const stand = open();
    const now = stand.db.nowMs();
    const { id } = stand.db.add({ timeoutAtMs: now + 300_000 });
    const shielded = { shieldAtMs: now + 300_000, lookAtMs: now + 10_000 };
    stand.db.suspect(id, shielded);
    expect((await stand.explain(id)).nextLookAt).toBe(new Date(now + 10_000).toISOString());
    stand.db.suspect(id, { ...shielded, errorTimes: 1, errorRetryAtMs: now + 20_000 });
    expect((await stand.explain(id)).nextLookAt).toBe(new Date(now + 20_000).toISOString());
    stand.db.suspect(id, { ...shielded, errorTimes: 1, errorRetryAtMs: now + 5000 });
    expect((await stand.explain(id)).nextLookAt).toBe(new Date(now + 10_000).toISOString());
  });

  it("says when a run would be asked about again, never after a hard deadline that is ahead", async () => {
    const stand = open();
    const far = stand.db.add();
    const near = stand.db.add({ beganAtMs: stand.db.nowMs() - HARD_MS + 10_000 });
    const inMs = (at: string | null | undefined) => Date.parse(at ?? "") - stand.db.nowMs();
    expect(inMs((await stand.explain(far.id)).now?.againAt)).toBe(45_000);
    expect(inMs((await stand.explain(near.id)).now?.againAt)).toBe(10_000);
    stand.backend.says(far.id, { kind: "exited", exitCode: 1, stdout: "", stderr: "" });
    expect((await stand.explain(far.id)).now?.againAt).toBeNull();
  });

  const waits = [
    { name: "for the first time", sinceMs: null, reached: false },
    {
      name: "a millisecond short of its bound",
      sinceMs: POLICY.unverifiableAfterMs - 1,
      reached: false,
    },
    { name: "for as long as its bound", sinceMs: POLICY.unverifiableAfterMs, reached: true },
  ];
  for (const { name, sinceMs, reached } of waits) {
    it(`says when a run is given up that got no answer ${name}`, async () => {
      const stand = open();
      const now = stand.db.nowMs();
      const { id } = stand.db.add({ beganAtMs: now - 3 * POLICY.unverifiableAfterMs });
      stand.backend.says(id, SILENT);
      const unknownSinceMs = sinceMs === null ? null : now - sinceMs;
      if (sinceMs !== null) stand.db.suspect(id, { unknownTimes: 3, unknownSinceMs });
      const found = await stand.explain(id);
      expect(ruleOf(found, "unverifiable")).toEqual({
        rule: "unverifiable",
        since: unknownSinceMs === null ? null : new Date(unknownSinceMs).toISOString(),
        presumedAt: new Date((unknownSinceMs ?? now) + POLICY.unverifiableAfterMs).toISOString(),
        reached,
      });
      expect(found.now?.outcome.basis).toBe(reached ? "presumption" : null);
      expect(ruleOf(found, "confirmation")).toBeUndefined();
      expect(found.now?.evidence).toMatchObject({
        kind: "unreachable",
        message: failure().message,
      });
    });
  }
});

describe("explainRun", () => {
  it("changes nothing, and logs none of what a sweep would have done", async () => {
    const stand = open();
    const { id } = stand.db.add();
    stand.backend.says(id, GONE);
    const before = structuredClone([stand.db.runs, stand.db.suspicions, stand.db.verdicts]);
    const { now } = await stand.explain(id);
    expect(now?.outcome.action).toBe("failed");
    stand.backend.says(stand.db.add(NOT_STALE).id, SILENT);
    expect((await stand.explain(id)).now?.outcome.action).toBe("held");
    stand.db.runs.delete("run-00002");
    expect([stand.db.runs, stand.db.suspicions, stand.db.verdicts]).toEqual(before);
    expect(stand.logged()).toEqual([]);
  });

  it("asks nobody about a run that has ended, and tells its past", async () => {
    const stand = open();
    const { runId } = stand.db.addVerdict({ basis: "presumption", overrideReason: "a reason" });
    stand.db.change(runId, { status: "COMPLETED" });
    const found = await stand.explain(runId);
    expect(found).toMatchObject({ now: null, nextLookAt: null, run: { status: "COMPLETED" } });
    expect(found.verdicts).toMatchObject([{ runId, overturned: true, overrideReason: "a reason" }]);
    expect(stand.backend.asked).toEqual([]);
  });

  it("tells the past of a run that the host has removed, and knows nothing of any other", async () => {
    const stand = open();
    const { runId } = stand.db.addVerdict();
    stand.db.runs.delete(runId);
    expect(await stand.explain(runId)).toMatchObject({ run: null, verdicts: [{ runId }] });
    expect(await stand.ask("run-99999")).toBeNull();
  });

  it("tells the end of a run that ended right before it was asked about", async () => {
    const stand = open();
    const { id } = stand.db.add();
    const read = stand.store.read.bind(stand.store);
    vi.spyOn(stand.store, "read").mockImplementationOnce((runId, query) => {
      stand.db.change(id, { status: "COMPLETED" });
      return read(runId, query);
    });
    expect(await stand.explain(id)).toMatchObject({ now: null, run: { status: "COMPLETED" } });
    expect(stand.backend.asked).toEqual([]);
  });

  it("tells of a pause, which keeps every sweep from a run that is due", async () => {
    const stand = open();
    const { id } = stand.db.add();
    stand.backend.says(id, ALIVE);
    expect((await stand.explain(id)).paused).toBeNull();
    Object.assign(stand.db.leadership, {
      pausedUntilMs: stand.db.nowMs() + 60_000,
      pauseReason: "moving the API",
      pausedBy: "anna",
    });
    const { paused, now } = await stand.explain(id);
    expect(paused).toMatchObject({ by: "anna", reason: "moving the API" });
    expect(now?.outcome.action).toBe("deferred");
  });

  it("tells the rest where it cannot see whether it is paused", async () => {
    const stand = open();
    const { id } = stand.db.add();
    stand.backend.says(id, ALIVE);
    vi.spyOn(stand.leadership, "read").mockRejectedValue(new StoreSchemaError("no rights"));
    expect(await stand.explain(id)).toMatchObject({ paused: null, run: { status: "RUNNING" } });
  });

  it("does not say that nothing is paused where Postgres did not answer", async () => {
    const stand = open();
    const { id } = stand.db.add();
    stand.backend.says(id, ALIVE);
    const away = new StoreUnavailableError("away");
    vi.spyOn(stand.leadership, "read").mockRejectedValue(away);
    await expect(stand.explain(id)).rejects.toBe(away);
  });

  it("says that the backend is not to be asked now", async () => {
    const stand = open();
    const { id } = stand.db.add();
    stand.backend.api = {
      throttle: { pausedForMs: 0, concurrency: null },
      breaker: "open",
      blockedReason: "the breaker is open",
      restore() {},
    };
    const { now } = await stand.explain(id);
    expect(now).toMatchObject({
      evidence: null,
      outcome: { action: "skipped", reason: "the breaker is open" },
    });
    expect(now?.rules.map(({ rule }) => rule)).toEqual(["due"]);
  });
});

function open(guard: Partial<typeof GUARD> = {}) {
  const world = sweepWorld();
  const { db, backend, store, logged, deps, stop } = world;
  const reader = new MemoryJournalReader(db);
  const sweep = { ...OPTIONS.sweep, guard: { ...GUARD, ...guard } };
  const options: LeadOptions = { ...OPTIONS, sweep };
  const ask = (runId: string) =>
    explainRun({ ...deps, reader }, options, runId, 60_000, stop.signal);
  return {
    ...{ db, backend, store, logged, leadership: deps.leadership },
    ask,
    async explain(runId: string): Promise<Explanation> {
      const found = await ask(runId);
      if (found === null) throw new Error(`there is no run ${runId}`);
      return found;
    },
    /** A run that is not stale and shows life. */
    alive: () => backend.says(db.add(NOT_STALE).id, ALIVE),
  };
}

function ruleOf(found: Pick<Explanation, "now">, rule: AppliedRule["rule"]) {
  return found.now?.rules.find((applied) => applied.rule === rule);
}

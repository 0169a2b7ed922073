import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { FencedError } from "../../../src/watchdog/errors.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { INSTALLATION } from "../../support/memory/memory-leadership.ts";
import { reportOf, sweepWorld } from "../../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 1, stdout: "", stderr: "" };
const REQUEST = { forMs: 600_000, reason: "moving the API", by: "ann@host" };
const PAUSED = { kind: "paused", pause: { by: "ann@host", reason: "moving the API" } };

describe("a sweep that would begin in a pause", () => {
  it("takes no lease, no epoch and asks nobody", async () => {
    const { db, fleet, lease, backend, lead } = sweepWorld();
    db.add();
    await fleet.pause(REQUEST);
    const acquire = vi.spyOn(lease, "acquire");
    const { epoch } = db.leadership;
    expect(await lead()).toMatchObject(PAUSED);
    expect(acquire).not.toHaveBeenCalled();
    expect(db.leadership.epoch).toBe(epoch);
    expect(backend.asked).toEqual([]);
  });

  it("is refused as well when the pause comes after the row was read, and gives its lease back", async () => {
    const { db, fleet, lease, backend, lead } = sweepWorld();
    db.add();
    const acquire = lease.acquire.bind(lease);
    vi.spyOn(lease, "acquire").mockImplementation(async (...args) => {
      const answer = await acquire(...args);
      await fleet.pause(REQUEST);
      return answer;
    });
    expect(await lead()).toMatchObject(PAUSED);
    expect(lease.holderOf(INSTALLATION)).toBeNull();
    expect(backend.asked).toEqual([]);
  });

  it("begins when the pause is over", async () => {
    const { clock, fleet, lead } = sweepWorld();
    await fleet.pause(REQUEST);
    await clock.advance(600_000);
    expect(reportOf(await lead()).status).toBe("ok");
  });
});

describe("a sweep that is paused on its way", () => {
  it("writes nothing any more, and ends with what it did before", async () => {
    const { db, clock, fleet, backend, lead, logged } = sweepWorld();
    backend.says(db.add().id, EXITED);
    const late = db.add().id;
    const question = backend.holds(late);
    const swept = lead();
    await settle();
    await fleet.pause(REQUEST);
    question.answer(EXITED);
    await clock.advance(0);
    const result = await swept;
    expect(result).toMatchObject({
      error: expect.any(FencedError),
      report: { status: "paused", exitCode: 75, counts: { failed: 1 } },
    });
    expect(db.runs.get(late)?.status).toBe("RUNNING");
    expect(db.verdicts).toHaveLength(1);
    expect(db.leadership.sweepFinishedAtMs).toBeNull();
    expect(logged()).not.toContain("error sweep failed");
  });

  it("ends within seconds although it waits for an answer, and aborts its question", async () => {
    const { db, clock, fleet, lease, backend, lead } = sweepWorld();
    const id = db.add().id;
    backend.holds(id);
    const swept = lead();
    await settle();
    await fleet.pause(REQUEST);
    await clock.advance(6000);
    expect(reportOf(await swept)).toMatchObject({ status: "paused", exitCode: 75 });
    expect(backend.aborted).toEqual([id]);
    expect(lease.holderOf(INSTALLATION)).toBeNull();
  });

  it("goes on when nothing happened while it waited", async () => {
    const { db, clock, leadership, backend, lead } = sweepWorld();
    const question = backend.holds(db.add().id);
    const progress = vi.spyOn(leadership, "progress");
    const swept = lead();
    await clock.advance(30_000);
    expect(progress).not.toHaveBeenCalled();
    question.answer(EXITED);
    await clock.advance(0);
    expect(reportOf(await swept)).toMatchObject({ status: "ok", counts: { failed: 1 } });
  });

  it("is an error as before when a new leader took the epoch away", async () => {
    const { db, clock, backend, lead, logged } = sweepWorld();
    backend.holds(db.add().id);
    const swept = lead();
    await settle();
    db.takeEpoch();
    await clock.advance(6000);
    expect(reportOf(await swept)).toMatchObject({ status: "error", exitCode: 1 });
    expect(logged()).toContain("error sweep failed");
  });

  it("is an error when nobody can say why the epoch is gone", async () => {
    const { db, clock, fleet, leadership, backend, lead } = sweepWorld();
    const question = backend.holds(db.add().id);
    const swept = lead();
    await settle();
    await fleet.pause(REQUEST);
    vi.spyOn(leadership, "read").mockRejectedValue(new Error("away"));
    question.answer(EXITED);
    await clock.advance(0);
    expect(reportOf(await swept)).toMatchObject({ status: "error", exitCode: 1 });
  });
});

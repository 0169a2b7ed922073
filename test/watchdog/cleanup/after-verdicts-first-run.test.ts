import { describe, expect, it, vi } from "vitest";
import { withProgress } from "../../../src/watchdog/port-calls.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import type { MemoryDatabase, MemoryVerdict } from "../../support/memory/memory-database.ts";
import { afterVerdictsStand } from "../../support/stands/after-verdicts-stand.ts";

describe("AfterVerdicts first runs", () => {
  it("records the first outcome and closes all open verdicts of the automation", async () => {
    const { db, afterVerdicts, start } = afterVerdictsStand();
    const first = open(db);
    const second = open(db, { automationId: first.automationId, outcome: "COMPLETED" });
    afterVerdicts.endSweep();
    await start();
    expect(firstRunOf(db, first)).toEqual({
      status: "failure",
      failure_stage: "watchdog",
      template_version: 2,
      recorded_at: db.nowText(),
    });
    expect([first.firstRunState, second.firstRunState]).toEqual(["done", "done"]);
  });

  it("makes progress with each of many, so that they do not cost the lease", async () => {
    const onProgress = vi.fn();
    const { db, afterVerdicts, start } = afterVerdictsStand((world) =>
      withProgress(world, onProgress),
    );
    for (let count = 0; count < 120; count += 1) open(db);
    afterVerdicts.endSweep();
    await start();
    // Three pages, an outcome and its note for each, and one claim of deletions.
    expect(onProgress).toHaveBeenCalledTimes(3 + 2 * 120 + 1);
  });

  it("records it while the sweep goes on", async () => {
    const { db, afterVerdicts, start } = afterVerdictsStand();
    start();
    await settle();
    const verdict = open(db);
    afterVerdicts.nudge();
    await settle();
    expect(verdict.firstRunState).toBe("done");
  });

  for (const { name, preset } of [
    { name: "has no preset any more", preset: null },
    { name: "has its first outcome by now", preset: '{"template":{},"first_run":{}}' },
    { name: "was not made from a template", preset: '{"note":"\\"template\\""}' },
  ]) {
    it(`closes the verdict of an automation that ${name}, and writes nothing`, async () => {
      const { db, journal, afterVerdicts, start } = afterVerdictsStand();
      const record = vi.spyOn(journal, "recordFirstRun");
      const verdict = open(db, {}, preset);
      afterVerdicts.endSweep();
      await start();
      expect(verdict.firstRunState).toBe("done");
      expect(record).not.toHaveBeenCalled();
    });
  }

  it("leaves a verdict open while somebody writes the automation, and records it in a later pass", async () => {
    const { db, afterVerdicts, start } = afterVerdictsStand();
    const verdict = open(db);
    db.locked.add(verdict.automationId);
    start();
    await settle();
    expect(verdict.firstRunState).toBe("pending");
    db.locked.clear();
    afterVerdicts.nudge();
    await settle();
    expect(verdict.firstRunState).toBe("done");
  });

  it("overwrites nothing that changed since it was read", async () => {
    const { db, journal, afterVerdicts, start } = afterVerdictsStand();
    const verdict = open(db);
    const read = journal.openFirstRuns.bind(journal);
    vi.spyOn(journal, "openFirstRuns").mockImplementationOnce(async (...args) => {
      const tasks = await read(...args);
      db.presets.set(verdict.automationId, '{"template":{},"first_run":"theirs"}');
      return tasks;
    });
    start();
    await settle();
    expect(verdict.firstRunState).toBe("pending");
    afterVerdicts.endSweep();
    await settle();
    expect(verdict.firstRunState).toBe("done");
    expect(firstRunOf(db, verdict)).toBe("theirs");
  });

  for (const count of [49, 50, 51, 101]) {
    it(`records all of ${count}, in pages of 50`, async () => {
      const { db, journal, afterVerdicts, start } = afterVerdictsStand();
      const verdicts = Array.from({ length: count }, () => open(db));
      const read = vi.spyOn(journal, "openFirstRuns");
      afterVerdicts.endSweep();
      await start();
      expect(new Set(verdicts.map(({ firstRunState }) => firstRunState))).toEqual(
        new Set(["done"]),
      );
      expect(read).toHaveBeenCalledTimes(Math.floor(count / 50) + 1);
    });
  }

  it("meets one that stays open only once in a pass, and goes on behind it", async () => {
    const { db, afterVerdicts, start } = afterVerdictsStand();
    const verdicts = Array.from({ length: 52 }, () => open(db));
    for (const { automationId } of verdicts.slice(0, 50)) db.locked.add(automationId);
    afterVerdicts.endSweep();
    await start();
    expect(verdicts.map(({ firstRunState }) => firstRunState)).toEqual([
      ...Array(50).fill("pending"),
      "done",
      "done",
    ]);
  });

  it("goes on behind one that the database refuses", async () => {
    const { db, journal, afterVerdicts, start, logged } = afterVerdictsStand();
    const [bad, good] = [open(db), open(db)];
    vi.spyOn(journal, "recordFirstRun").mockRejectedValueOnce(new Error("SQLSTATE 23514"));
    afterVerdicts.endSweep();
    await start();
    expect([bad.firstRunState, good.firstRunState]).toEqual(["pending", "done"]);
    expect(logged()).toEqual(["error recording a first run failed"]);
  });

  it("is not held up by a deletion that takes long", async () => {
    const { db, backend, start } = afterVerdictsStand();
    backend.holdsCleanup(db.addVerdict().sandboxId ?? "");
    const verdict = open(db);
    start();
    await settle();
    expect(verdict.firstRunState).toBe("done");
  });
});

/** A verdict whose automation may wait for its first outcome. */
function open(
  db: MemoryDatabase,
  changes: Partial<MemoryVerdict> = {},
  preset: string | null = '{"template":{"version":2}}',
): MemoryVerdict {
  const verdict = db.addVerdict({ cleanupState: "none", firstRunState: "pending", ...changes });
  if (preset !== null) db.presets.set(verdict.automationId, preset);
  return verdict;
}

function firstRunOf(db: MemoryDatabase, { automationId }: MemoryVerdict): unknown {
  return JSON.parse(db.presets.get(automationId) ?? "").first_run;
}

import { describe, expect, it, vi } from "vitest";
import { withProgress } from "../../../src/watchdog/port-calls.ts";
import type { PauseResult } from "../../../src/watchdog/ports.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import type { MemoryDatabase, MemoryVerdict } from "../../support/memory/memory-database.ts";
import { afterVerdictsStand } from "../../support/stands/after-verdicts-stand.ts";

const HOUR_MS = 3_600_000;
const FAILURE = { kind: "failed", failure: "HTTP 503", retryAfterMs: null } as const;

describe("AfterVerdicts with a deletion that is deferred", () => {
  it("pause the sandbox, and delete it when that is due", async () => {
    const { db, clock, backend, afterVerdicts, start } = afterVerdictsStand();
    backend.pauses();
    const verdict = deferred(db);
    start();
    await settle();
    expect(backend.paused).toEqual([verdict.sandboxId]);
    expect(backend.deleted).toEqual([]);
    await clock.advance(HOUR_MS - 1);
    afterVerdicts.nudge();
    await settle();
    expect(backend.deleted).toEqual([]);
    await clock.advance(1);
    afterVerdicts.nudge();
    await settle();
    expect(backend.paused).toHaveLength(1);
    expect(backend.deleted).toEqual([verdict.sandboxId]);
    expect(verdict).toMatchObject({ cleanupState: "done", cleanupAttempts: 1 });
    expect(stampOf(db, verdict)).toBeNull();
  });

  const answers: readonly (readonly [string, PauseResult, readonly string[]])[] = [
    ["was paused", { kind: "paused" }, []],
    ["is not known", { kind: "absent", failure: "HTTP 404" }, []],
    ["could not be paused", FAILURE, ["warn pausing a sandbox failed"]],
    [
      "may not be asked about",
      { kind: "not-asked", reason: "pauses fail", retryAfterMs: 1 },
      ["warn pausing a sandbox failed"],
    ],
  ];
  it.each(answers)("count no attempt and try no more when it %s", async (_, answer, logged) => {
    const stand = afterVerdictsStand();
    const { db, backend, afterVerdicts, start } = stand;
    backend.pauses(async () => answer);
    const [verdict, other] = [deferred(db), db.addVerdict()];
    afterVerdicts.endSweep();
    await start();
    expect(backend.paused).toEqual([verdict.sandboxId]);
    expect(verdict).toMatchObject({
      cleanupState: "pending",
      cleanupAttempts: 0,
      cleanupError: null,
      cleanupNextAtMs: db.nowMs() + HOUR_MS,
    });
    expect(other.cleanupState).toBe("done");
    expect(stand.logged()).toEqual(logged);
    expect(afterVerdicts.summary).toEqual({ done: 1, abandoned: 0 });
  });

  it("say which sandbox could not be paused, and why", async () => {
    const { db, backend, afterVerdicts, start, lines } = afterVerdictsStand();
    backend.pauses(async () => FAILURE);
    const { runId, sandboxId } = deferred(db);
    afterVerdicts.endSweep();
    await start();
    expect(lines).toMatchObject([{ fields: { runId, sandboxId, reason: "HTTP 503" } }]);
  });

  it("take a backend that rejects, or cannot pause any more, for one that failed", async () => {
    for (const prepare of [
      ({ backend }: ReturnType<typeof afterVerdictsStand>) =>
        backend.pauses(() => Promise.reject(new TypeError("a bug"))),
      () => {},
    ]) {
      const stand = afterVerdictsStand();
      prepare(stand);
      const verdict = deferred(stand.db);
      stand.afterVerdicts.endSweep();
      expect(await stand.start()).toBeNull();
      expect(verdict).toMatchObject({ cleanupState: "pending", cleanupAttempts: 0 });
      expect(stand.logged().at(-1)).toBe("warn pausing a sandbox failed");
    }
  });

  it("give a pause up when its deletion is due, so that both are never on their way", async () => {
    const { db, clock, backend, afterVerdicts, start } = afterVerdictsStand();
    backend.pauses(() => new Promise(() => {}));
    const verdict = deferred(db, { cleanupDueAtMs: db.nowMs() + 30_000 });
    start();
    await clock.advance(29_999);
    expect(backend.aborted).toEqual([]);
    await clock.advance(1);
    expect(backend.aborted).toEqual([verdict.sandboxId]);
    afterVerdicts.nudge();
    await settle();
    expect(backend.deleted).toEqual([verdict.sandboxId]);
  });

  it("give a pause up four minutes after its claim, like a deletion", async () => {
    const { db, clock, backend, start } = afterVerdictsStand();
    backend.pauses(() => new Promise(() => {}));
    const verdict = deferred(db);
    start();
    await clock.advance(239_999);
    expect(backend.aborted).toEqual([]);
    await clock.advance(1);
    expect(backend.aborted).toEqual([verdict.sandboxId]);
  });

  it("pause nothing when the lease is lost while a claim is on its way back", async () => {
    const { db, journal, backend, fence, afterVerdicts, start } = afterVerdictsStand();
    backend.pauses();
    deferred(db);
    const lost = new Error("the lease was lost");
    const claim = journal.claimCleanups.bind(journal);
    vi.spyOn(journal, "claimCleanups").mockImplementationOnce(async (...args) => {
      const tasks = await claim(...args);
      fence.check.mockImplementation(() => {
        throw lost;
      });
      return tasks;
    });
    start();
    await settle();
    expect(backend.paused).toEqual([]);
    afterVerdicts.endSweep();
  });

  it("tell that work goes on with every pause, and leave no timer behind", async () => {
    const onProgress = vi.fn();
    const { db, clock, afterVerdicts, start } = afterVerdictsStand((world) => {
      world.backend.pauses();
      return withProgress(world, onProgress);
    });
    deferred(db);
    deferred(db);
    afterVerdicts.endSweep();
    await start();
    // Two claims, of which the second finds nothing, two pauses, and one look for first runs.
    expect(onProgress).toHaveBeenCalledTimes(5);
    expect(clock.sleeping).toBe(0);
  });
});

/** A verdict with which the deletion was deferred by an hour, unless told otherwise. */
function deferred(db: MemoryDatabase, changes: Partial<MemoryVerdict> = {}): MemoryVerdict {
  const { cleanupDueAtMs = db.nowMs() + HOUR_MS } = changes;
  const verdict = db.addVerdict({
    ...changes,
    cleanupDueAtMs,
    cleanupStampAtMs: cleanupDueAtMs,
  });
  db.change(verdict.runId, { sandboxCleanupDueAtMs: cleanupDueAtMs });
  return verdict;
}

function stampOf(db: MemoryDatabase, { runId }: MemoryVerdict): number | null | undefined {
  return db.runs.get(runId)?.sandboxCleanupDueAtMs;
}

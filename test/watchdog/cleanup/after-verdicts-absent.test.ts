import { describe, expect, it, vi } from "vitest";
import type { CleanupResult } from "../../../src/watchdog/ports.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { afterVerdictsStand } from "../../support/stands/after-verdicts-stand.ts";

const ABSENT: CleanupResult = { kind: "absent", failure: "HTTP 404" };
const NOTE = "the API does not know the sandbox: HTTP 404";

describe("AfterVerdicts with a sandbox that the API does not know", () => {
  const attempts = [
    { name: "try again half a minute after the first attempt", before: 0, retryInMs: 30_000 },
    { name: "try again a minute after the second attempt", before: 1, retryInMs: 60_000 },
  ];
  for (const { name, before, retryInMs } of attempts) {
    it(name, async () => {
      const { db, backend, afterVerdicts, start, logged } = afterVerdictsStand();
      const verdict = db.addVerdict({ cleanupAttempts: before });
      backend.cleanupSays(verdict.sandboxId ?? "", ABSENT);
      afterVerdicts.endSweep();
      await start();
      expect(verdict).toMatchObject({
        cleanupState: "pending",
        cleanupAttempts: before + 1,
        cleanupError: "HTTP 404",
        cleanupNextAtMs: db.nowMs() + retryInMs,
      });
      expect(afterVerdicts.summary).toEqual({ done: 0, abandoned: 0 });
      expect(logged()).toEqual(["warn deleting a sandbox failed"]);
    });
  }

  it("take it for gone with the third attempt, count it as done and say so", async () => {
    const { db, backend, afterVerdicts, start, lines } = afterVerdictsStand();
    const verdict = db.addVerdict({ cleanupAttempts: 2 });
    backend.cleanupSays(verdict.sandboxId ?? "", ABSENT);
    afterVerdicts.endSweep();
    await start();
    expect(verdict).toMatchObject({ cleanupState: "done", cleanupError: NOTE });
    expect(afterVerdicts.summary).toEqual({ done: 1, abandoned: 0 });
    expect(lines).toMatchObject([
      {
        level: "info",
        message: "a sandbox is considered deleted",
        fields: { runId: verdict.runId, sandboxId: verdict.sandboxId, note: NOTE },
      },
    ]);
  });

  it("go on trying when the third attempt fails otherwise", async () => {
    const { db, backend, afterVerdicts, start } = afterVerdictsStand();
    const verdict = db.addVerdict({ cleanupAttempts: 2 });
    const result = { kind: "failed", failure: "HTTP 503", retryAfterMs: null } as const;
    backend.cleanupSays(verdict.sandboxId ?? "", result);
    afterVerdicts.endSweep();
    await start();
    expect(verdict).toMatchObject({ cleanupState: "pending", cleanupError: "HTTP 503" });
  });

  it("give it up a day after the verdict, when it was not asked about often enough before", async () => {
    const { db, backend, afterVerdicts, start } = afterVerdictsStand();
    const verdict = db.addVerdict({ decidedAtMs: db.nowMs() - 86_400_001 });
    backend.cleanupSays(verdict.sandboxId ?? "", ABSENT);
    afterVerdicts.endSweep();
    await start();
    expect(verdict).toMatchObject({ cleanupState: "abandoned", cleanupError: "HTTP 404" });
    expect(afterVerdicts.summary).toEqual({ done: 0, abandoned: 1 });
  });

  it("come to an end with a deletion whose note was lost", async () => {
    const { db, clock, journal, backend, afterVerdicts, start } = afterVerdictsStand();
    const verdict = db.addVerdict();
    vi.spyOn(journal, "cleanupDone").mockRejectedValueOnce(new Error("the note was lost"));
    start();
    await settle();
    expect(verdict).toMatchObject({ cleanupState: "pending", cleanupAttempts: 1 });

    backend.cleanupSays(verdict.sandboxId ?? "", ABSENT);
    for (const waitMs of [300_000, 60_000]) {
      await clock.advance(waitMs);
      afterVerdicts.nudge();
      await settle();
    }
    expect(verdict).toMatchObject({ cleanupState: "done", cleanupAttempts: 3, cleanupError: NOTE });
    expect(backend.deleted).toHaveLength(3);
  });
});

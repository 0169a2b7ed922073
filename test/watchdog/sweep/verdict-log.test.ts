import { describe, expect, it } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { GUARD, sweepStand } from "../../support/stands/sweep-world.ts";

const FAILED: Evidence = { kind: "exited", exitCode: 1, stdout: "tenant", stderr: "tenant" };
const GONE: Evidence = { kind: "gone", reason: "lost", detail: "tenant" };

describe("the log of verdicts", () => {
  it("says of a run that ended what was decided and why, and what becomes of its sandbox", async () => {
    const { db, backend, sweep, lines } = sweepStand();
    const run = db.add({ timeoutAtMs: db.nowMs() - 90_000 });
    backend.says(run.id, FAILED);
    await sweep();
    expect(lines).toEqual([
      {
        level: "info",
        message: "run ended",
        fields: {
          runId: run.id,
          automationId: run.automationId,
          outcome: "FAILED",
          basis: "proof",
          reason: "exit_code=1",
          overdueSeconds: 90,
          seen: 1,
          sandbox: "deleted now",
        },
      },
    ]);
  });

  it("says how often a presumption was seen, and counts from the first deadline", async () => {
    const { db, backend, clock, sweep, lines } = sweepStand();
    const run = db.add({ timeoutAtMs: db.nowMs() - 5000 });
    backend.says(run.id, GONE);
    const guard = { ...GUARD, confirmations: 2 };
    await sweep({ guard });
    await clock.advance(60_000);
    await sweep({ guard });
    expect(lines.map(({ message, fields }) => ({ message, ...fields }))).toMatchObject([
      {
        message: "run suspected",
        runId: run.id,
        automationId: run.automationId,
        sandbox: "left alone while the run goes on",
        outcome: "suspected",
        basis: "presumption",
        reason: "lost",
        seen: 1,
        overdueSeconds: 5,
      },
      {
        message: "run ended",
        outcome: "FAILED",
        basis: "presumption",
        seen: 2,
        overdueSeconds: 65,
        sandbox: "deleted in 300 s",
      },
    ]);
    expect(JSON.stringify(lines)).not.toContain("tenant");
  });

  it("says which runs the guard holds back, each with the reason", async () => {
    const { db, backend, sweep, lines } = sweepStand();
    const timeoutAtMs = db.nowMs() - 7000;
    for (let count = 0; count < 5; count += 1) backend.says(db.add({ timeoutAtMs }).id, GONE);
    const run = db.add({ timeoutAtMs, sandboxId: null });
    backend.says(run.id, GONE);
    await sweep();
    const held = lines.filter(({ message }) => message === "run held back by the guard");
    expect(held).toHaveLength(6);
    expect(held[0]?.fields).toMatchObject({ sandbox: "left alone while the run goes on" });
    expect(held.find(({ fields }) => fields["runId"] === run.id)?.fields).toEqual({
      runId: run.id,
      automationId: run.automationId,
      outcome: "held",
      basis: "presumption",
      reason: expect.stringMatching(/^lost, a mass/),
      overdueSeconds: 7,
      seen: 1,
      sandbox: "none",
    });
  });

  it.each([
    [{ sandboxId: null }, "none"],
    [{ keepAlive: true }, "kept, its automation wants it so"],
  ])("says that the sandbox of %j is %s", async (change, sandbox) => {
    const { db, backend, sweep, lines } = sweepStand();
    backend.says(db.add(change).id, FAILED);
    await sweep();
    expect(lines[0]?.fields).toMatchObject({ sandbox });
  });

  it("says nothing of a run that somebody else changed, is alive, or gave no answer", async () => {
    const { db, backend, sweep, lines } = sweepStand();
    const busy = db.add();
    backend.says(busy.id, FAILED);
    db.locked.add(busy.id);
    db.add();
    await sweep();
    expect(lines).toEqual([]);
  });
});

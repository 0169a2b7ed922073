import { describe, expect, it, vi } from "vitest";
import { health, readiness } from "../../../src/rules/health.ts";
import type { Evidence } from "../../../src/rules/model.ts";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { workerWorld } from "../../support/stands/worker-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 1, stdout: "", stderr: "" };
const OBSERVING = "observing: nothing is written, because WATCHDOG_MODE is observe";

describe("Worker that observes", () => {
  it("judges and counts at every tick, and takes no lease, no epoch and writes no row", async () => {
    const { db, lease, leadership, fleet, backend, stop, clock, run, tick, facts, lines } =
      workerWorld({ observes: true });
    backend.says(db.add().id, EXITED);
    const before = structuredClone([db.runs, db.suspicions, db.verdicts, db.leadership]);
    const calls = [
      vi.spyOn(lease, "acquire"),
      vi.spyOn(lease, "ping"),
      vi.spyOn(leadership, "begin"),
      vi.spyOn(leadership, "read"),
      vi.spyOn(leadership, "clearLeaseKind"),
      vi.spyOn(fleet, "seen"),
      vi.spyOn(fleet, "left"),
    ];
    run();
    await settle();
    await tick();
    await tick();
    expect(backend.asked).toHaveLength(2);
    expect(facts().ownLastSweep).toMatchObject({
      dryRun: true,
      epoch: null,
      counts: { failed: 1 },
    });
    const said = lines.filter(({ message }) => message === "observed, nothing was written");
    expect(said).toMatchObject([{ level: "info", fields: { counts: { failed: 1 } } }, {}]);
    stop.abort(new Error("stop"));
    await clock.advance(0);
    expect([db.runs, db.suspicions, db.verdicts, db.leadership]).toEqual(before);
    for (const call of calls) expect(call).not.toHaveBeenCalled();
  });

  it("is ready without a lease store, and health says that nothing is written", async () => {
    const { clock, run, tick, facts } = workerWorld({ observes: true });
    run();
    await settle();
    expect(readiness(facts())).toEqual({ ready: true, reasons: [] });
    await tick();
    await clock.advance(100_000);
    expect(health(facts())).toEqual({ status: "degraded", reasons: [OBSERVING] });
  });

  it("misses nobody's sweep as long as it observes at its ticks", async () => {
    const { clock, run, tick, facts } = workerWorld({ observes: true });
    run();
    await settle();
    for (let ticks = 0; ticks < 5; ticks += 1) {
      await tick();
      await clock.advance(60_000);
    }
    expect(health(facts())).toEqual({ status: "degraded", reasons: [OBSERVING] });
  });

  it("says that it observes while it does, as no leader", async () => {
    const { db, backend, clock, run, tick, facts } = workerWorld({ observes: true });
    const question = backend.holds(db.add().id);
    run();
    await settle();
    await tick();
    expect(facts()).toMatchObject({ role: "observing", leaseHolder: null, leaseExpiresAt: null });
    question.answer(EXITED);
    await clock.advance(0);
    expect(facts().role).toBe("idle");
  });

  it("fails like any other when it could observe nothing for three ticks", async () => {
    const { leadership, clock, run, tick, facts } = workerWorld({ observes: true });
    vi.spyOn(leadership, "horizon").mockRejectedValue(new StoreUnavailableError("ECONNREFUSED"));
    run();
    await settle();
    await tick();
    await clock.advance(200_000);
    expect(health(facts()).status).toBe("failing");
    expect(facts().postgres).toEqual({ problem: "ECONNREFUSED" });
  });
});

import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { StopRequestedError } from "../../../src/watchdog/errors.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { INSTALLATION } from "../../support/memory/memory-leadership.ts";
import { workerWorld } from "../../support/stands/worker-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 0, stdout: "", stderr: "" };
const OTHER = "host-2/1/cd34/t";

describe("Worker", () => {
  it("asks both stores before its first tick, and takes no lease", async () => {
    const { leadership, lease, run, facts } = workerWorld();
    const ping = vi.spyOn(lease, "ping");
    const acquire = vi.spyOn(lease, "acquire");
    const read = vi.spyOn(leadership, "read");
    expect(facts()).toMatchObject({ postgres: "unknown", lease: "unknown" });
    run();
    await settle();
    expect(facts()).toMatchObject({ postgres: "ok", lease: "ok", role: "idle" });
    expect(read).toHaveBeenCalledTimes(1);
    expect(ping).toHaveBeenCalledTimes(1);
    expect(acquire).not.toHaveBeenCalled();
  });

  it("tells that it rests when the stores have answered and after each sweep, and not before", async () => {
    const { db, backend, run, tick, onRest, facts } = workerWorld();
    const slow = backend.holds(db.add().id);
    onRest.mockImplementation(() => expect(facts().postgres).toBe("ok"));
    run();
    await settle();
    expect(onRest).toHaveBeenCalledTimes(1);
    await tick();
    expect(onRest).toHaveBeenCalledTimes(1);
    slow.answer(EXITED);
    await tick();
    expect(db.leadership.sweepFinishedAtMs).not.toBeNull();
    expect(onRest).toHaveBeenCalledTimes(2);
  });

  it("sweeps once for every tick", async () => {
    const { db, clock, run, tick, facts } = workerWorld();
    run();
    await settle();
    expect(db.leadership.epoch).toBe(0);
    await tick();
    expect(db.leadership.epoch).toBe(1);
    await clock.advance(60_000);
    expect(db.leadership.epoch).toBe(1);
    await tick();
    expect(db.leadership.epoch).toBe(2);
    expect(facts().ownLastSweep).toMatchObject({ status: "ok", epoch: 2, trigger: "cron" });
  });

  it("never overlaps itself, and does not make up for ticks during a sweep", async () => {
    const { db, clock, backend, lease, run, tick } = workerWorld();
    const slow = backend.holds(db.add().id);
    const acquire = vi.spyOn(lease, "acquire");
    run();
    await settle();
    await tick();
    await clock.advance(40_000);
    await tick();
    await tick();
    expect(acquire).toHaveBeenCalledTimes(1);
    slow.answer(EXITED);
    await clock.advance(10_000);
    expect(acquire).toHaveBeenCalledTimes(1);
    await tick();
    expect(acquire).toHaveBeenCalledTimes(2);
  });

  it("waits for the next tick when this one was swept by somebody else", async () => {
    const { db, clock, lease, run, tick, facts } = workerWorld();
    db.leadership.sweepStartedAtMs = db.nowMs();
    db.leadership.sweepFinishedAtMs = db.nowMs();
    const acquire = vi.spyOn(lease, "acquire");
    run();
    await settle();
    await tick();
    expect(facts().role).toBe("idle");
    await clock.advance(59_000);
    expect(acquire).toHaveBeenCalledTimes(1);
    expect(db.leadership.epoch).toBe(0);
    expect(lease.holderOf(INSTALLATION)).toBeNull();
  });
});

describe("Worker that is refused", () => {
  for (const { fraction, waitMs } of [
    { fraction: 0, waitMs: 15_000 },
    { fraction: 0.5, waitMs: 15_100 },
  ]) {
    it(`takes over from a dead leader after ${waitMs} ms, before the next tick`, async () => {
      const { db, clock, lease, random, run, tick, facts } = workerWorld();
      random.fraction = () => fraction;
      await lease.acquire(INSTALLATION, OTHER, 15_000);
      run();
      await settle();
      await tick();
      expect(facts()).toMatchObject({ role: "standby", leaseHolder: "host-2/1/cd34" });
      await clock.advance(waitMs - 1);
      expect(db.leadership.epoch).toBe(0);
      await clock.advance(1);
      expect(db.leadership.epoch).toBe(1);
      expect(facts().role).toBe("idle");
    });
  }

  it("tries again as often as the leader's lease would have run out", async () => {
    const { db, clock, lease, run, tick } = workerWorld();
    const acquire = vi.spyOn(lease, "acquire");
    await lease.acquire(INSTALLATION, OTHER, 15_000);
    acquire.mockClear();
    run();
    await settle();
    await tick();
    await clock.advance(5_000);
    await lease.renew(INSTALLATION, OTHER, 15_000);
    await clock.advance(10_000);
    expect(acquire).toHaveBeenCalledTimes(2);
    await clock.advance(4_999);
    expect(acquire).toHaveBeenCalledTimes(2);
    await clock.advance(1);
    expect(acquire).toHaveBeenCalledTimes(3);
    expect(db.leadership.epoch).toBe(1);
  });

  it("stands by no longer when it finds the lease free and the tick swept", async () => {
    const { db, clock, lease, run, tick, facts } = workerWorld();
    run();
    await settle();
    await lease.acquire(INSTALLATION, OTHER, 15_000);
    await tick();
    expect(facts()).toMatchObject({ role: "standby", leaseHolder: "host-2/1/cd34" });
    // The other one ends its sweep, and gives its lease back.
    db.leadership.sweepStartedAtMs = db.nowMs();
    db.leadership.sweepFinishedAtMs = db.nowMs();
    await lease.release(INSTALLATION, OTHER);
    await clock.advance(15_200);
    expect(db.leadership.epoch).toBe(0);
    expect(facts()).toMatchObject({ role: "idle", leaseHolder: null, leaseExpiresAt: null });
  });

  it("tries again at once when the lease is free by now", async () => {
    const { db, lease, run, tick } = workerWorld();
    const gone = { kind: "held", value: OTHER, expiresInMs: 0 } as const;
    vi.spyOn(lease, "acquire").mockResolvedValueOnce(gone);
    run();
    await settle();
    await tick();
    expect(db.leadership.epoch).toBe(1);
  });

  it("tries no more than once a second when it is refused a free lease for ever, and says so once", async () => {
    const { clock, lease, run, tick, logged } = workerWorld();
    const free = { kind: "held", value: null, expiresInMs: 0 } as const;
    const acquire = vi.spyOn(lease, "acquire").mockResolvedValue(free);
    run();
    await settle();
    await tick();
    expect(acquire).toHaveBeenCalledTimes(2);
    await clock.advance(60_000);
    expect(acquire).toHaveBeenCalledTimes(62);
    await tick();
    await clock.advance(60_000);
    const told = "warn the lease is refused although it is free";
    expect(logged().filter((line) => !line.startsWith("debug"))).toEqual([told]);
    acquire.mockRestore();
    await tick();
    vi.spyOn(lease, "acquire").mockResolvedValue(free);
    await tick();
    expect(logged().filter((line) => line === told)).toHaveLength(2);
  });

  it("does not speak of a free lease that is refused once", async () => {
    const { lease, run, tick, logged } = workerWorld();
    const acquire = vi.spyOn(lease, "acquire");
    run();
    await settle();
    for (let count = 0; count < 3; count += 1) {
      acquire.mockResolvedValueOnce({ kind: "held", value: null, expiresInMs: 0 });
      await tick();
    }
    expect(logged().filter((line) => !line.startsWith("debug"))).toEqual([]);
  });

  it("ends its waiting with the next tick, and tries once for it", async () => {
    const { clock, lease, run, tick } = workerWorld();
    await lease.acquire(INSTALLATION, OTHER, 100_000);
    const acquire = vi.spyOn(lease, "acquire");
    run();
    await settle();
    await tick();
    await clock.advance(60_000);
    expect(acquire).toHaveBeenCalledTimes(1);
    await tick();
    expect(acquire).toHaveBeenCalledTimes(2);
    expect(clock.sleeping).toBe(1);
    await clock.advance(39_999);
    expect(acquire).toHaveBeenCalledTimes(2);
    await clock.advance(1);
    expect(acquire).toHaveBeenCalledTimes(3);
  });

  it("does not try again before the next tick when the lease never expires, and says so", async () => {
    const { clock, lease, run, tick, facts, lines } = workerWorld();
    const held = { kind: "held", value: OTHER, expiresInMs: null } as const;
    const acquire = vi.spyOn(lease, "acquire").mockResolvedValue(held);
    run();
    await settle();
    await tick();
    const key = `watchdog:{${INSTALLATION}}:lease`;
    expect(facts()).toMatchObject({ role: "standby", endlessLeaseKey: key });
    expect(lines).toContainEqual({
      level: "error",
      message: "the lease has no expiry, delete its key",
      fields: { holder: "host-2/1/cd34", key },
    });
    await clock.advance(3_600_000);
    expect(acquire).toHaveBeenCalledTimes(1);
    await tick();
    expect(acquire).toHaveBeenCalledTimes(2);
    expect(lines.filter(({ level }) => level === "error")).toHaveLength(1);
    acquire.mockResolvedValue({ ...held, value: "host-3/1/ef56/t" });
    await tick();
    expect(lines.filter(({ level }) => level === "error")).toHaveLength(2);
    acquire.mockRestore();
    await tick();
    expect(facts()).toMatchObject({ role: "idle", endlessLeaseKey: null });
  });

  it("stands by for workers with another kind of lease until they are gone, and says so once", async () => {
    const { db, clock, lease, run, tick, facts, logged } = workerWorld();
    db.leadership.leaseKind = "postgres";
    db.leadership.progressedAtMs = db.nowMs();
    const acquire = vi.spyOn(lease, "acquire");
    run();
    await settle();
    await tick();
    expect(facts()).toMatchObject({ role: "standby", otherLeaseKind: "postgres" });
    await clock.advance(89_999);
    await tick();
    expect(acquire).not.toHaveBeenCalled();
    expect(logged().filter((line) => line.startsWith("warn"))).toHaveLength(1);
    await clock.advance(1);
    await tick();
    expect(db.leadership).toMatchObject({ epoch: 1, leaseKind: "redis" });
    expect(facts()).toMatchObject({ role: "idle", otherLeaseKind: null });
  });
});

describe("Worker log", () => {
  const evidence: readonly {
    readonly name: string;
    readonly evidence: Evidence | null;
    readonly level: string;
  }[] = [
    { name: "at info when it changed something", evidence: EXITED, level: "info" },
    { name: "at debug when it changed nothing", evidence: null, level: "debug" },
    {
      name: "at warn when a run could not be handled",
      evidence: JSON.parse('{"kind":"unreachable"}'),
      level: "warn",
    },
  ];
  for (const { name, evidence: answer, level } of evidence) {
    it(`tells of a sweep ${name}, once and without its runs`, async () => {
      const { db, backend, run, tick, lines } = workerWorld();
      if (answer !== null) backend.says(db.add().id, answer);
      run();
      await settle();
      await tick();
      const reports = lines.filter(({ message }) => message === "sweep finished");
      expect(reports).toMatchObject([{ level, fields: { epoch: 1, trigger: "cron" } }]);
      expect(reports[0]?.fields).not.toHaveProperty("runs");
    });
  }

  it("tells of an interrupted sweep as no failure", async () => {
    const { db, backend, run, tick, stop, logged } = workerWorld();
    backend.holds(db.add().id);
    run();
    await settle();
    await tick();
    stop.abort(new StopRequestedError("SIGTERM"));
    await settle();
    expect(logged().filter((line) => line.startsWith("error"))).toEqual([]);
  });
});

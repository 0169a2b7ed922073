import { describe, expect, it, vi } from "vitest";
import {
  LeaseUnavailableError,
  StoreSchemaError,
  StoreUnavailableError,
} from "../../../src/watchdog/errors.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { INSTALLATION } from "../../support/memory/memory-leadership.ts";
import { workerWorld } from "../../support/stands/worker-world.ts";

const AWAY = new StoreUnavailableError("ECONNREFUSED");
const LEASE_AWAY = new LeaseUnavailableError("no answer within 2000 ms");
const MISSING = new StoreSchemaError("run `run-watchdog migrate`");

describe("Worker in an outage", () => {
  it("stays up, asks every 5 s, and is ready again when Postgres is", async () => {
    const { clock, leadership, run, facts, logged, state } = workerWorld();
    const read = vi.spyOn(leadership, "read").mockRejectedValue(AWAY);
    run();
    await settle();
    expect(facts()).toMatchObject({ postgres: { problem: "ECONNREFUSED" }, lease: "unknown" });
    await clock.advance(4_999);
    expect(read).toHaveBeenCalledTimes(1);
    await clock.advance(1);
    expect(read).toHaveBeenCalledTimes(2);
    await clock.advance(600_000);
    expect(read).toHaveBeenCalledTimes(122);
    read.mockRestore();
    await clock.advance(5_000);
    expect(facts()).toMatchObject({ postgres: "ok", lease: "ok" });
    expect(state()).toBe("running");
    expect(logged().filter((line) => !line.startsWith("debug"))).toEqual([
      "error not ready",
      "info stores answer again",
    ]);
  });

  it("asks no more once both stores have answered", async () => {
    const { clock, lease, run, tick } = workerWorld();
    const ping = vi.spyOn(lease, "ping");
    run();
    await clock.advance(600_000);
    await tick();
    expect(ping).toHaveBeenCalledTimes(1);
  });

  it("tells that Postgres is there when only the lease store is away", async () => {
    const { lease, run, facts } = workerWorld();
    vi.spyOn(lease, "ping").mockRejectedValue(LEASE_AWAY);
    run();
    await settle();
    expect(facts()).toMatchObject({
      postgres: "ok",
      lease: { problem: "no answer within 2000 ms" },
    });
  });

  it("tells why an attempt to sweep failed although probes are answered, until one gets through", async () => {
    const { lease, run, tick, facts } = workerWorld();
    run();
    await settle();
    const acquire = vi.spyOn(lease, "acquire").mockRejectedValue(LEASE_AWAY);
    await tick();
    await settle();
    expect(facts()).toMatchObject({ lease: "ok", attemptFailure: "no answer within 2000 ms" });
    acquire.mockRestore();
    await tick();
    expect(facts()).toMatchObject({ lease: "ok", attemptFailure: null });
  });

  it("tries to sweep at every tick all the same, and logs the outage once", async () => {
    const { clock, leadership, run, tick, logged } = workerWorld();
    const read = vi.spyOn(leadership, "read").mockRejectedValue(AWAY);
    run();
    await clock.advance(1_000);
    for (let count = 0; count < 3; count += 1) {
      const before = read.mock.calls.length;
      await tick();
      // The attempt, and the next look whether the stores are back.
      expect(read.mock.calls.length).toBe(before + 2);
    }
    expect(logged().filter((line) => line.startsWith("error"))).toEqual(["error not ready"]);
  });

  it("sweeps at the first tick after it, and logs its end and its return once", async () => {
    const { db, leadership, run, tick, logged } = workerWorld();
    const read = vi.spyOn(leadership, "read").mockRejectedValueOnce(AWAY);
    run();
    await settle();
    await tick();
    await tick();
    expect(db.leadership.epoch).toBe(1);
    read.mockRejectedValueOnce(AWAY);
    await tick();
    expect(logged().filter((line) => !line.startsWith("debug"))).toEqual([
      "error not ready",
      "info stores answer again",
      "error cannot sweep",
      "info stores answer again",
    ]);
  });

  it("speaks twice, and not at every tick, of stores that answer and let nobody sweep", async () => {
    const { leadership, run, tick, logged, facts } = workerWorld();
    const begin = vi.spyOn(leadership, "begin").mockRejectedValue(AWAY);
    run();
    await settle();
    for (let count = 0; count < 5; count += 1) await tick();
    const told = ["error cannot sweep", "info stores answer again", "error cannot sweep"];
    const spoken = () => logged().filter((line) => !line.startsWith("debug"));
    expect(spoken()).toEqual(told);
    expect(facts().postgres).toBe("ok");
    begin.mockRestore();
    await tick();
    expect(spoken()).toEqual([...told, "info stores answer again"]);
    vi.spyOn(leadership, "begin").mockRejectedValue(AWAY);
    await tick();
    expect(spoken().slice(4)).toEqual(["error cannot sweep", "info stores answer again"]);
  });

  it("logs again when something else is wrong", async () => {
    const { clock, leadership, run, lines, facts } = workerWorld();
    const read = vi.spyOn(leadership, "read").mockRejectedValue(AWAY);
    run();
    await clock.advance(5_000);
    read.mockRejectedValue(MISSING);
    await clock.advance(10_000);
    expect(facts().postgres).toEqual({ problem: MISSING.message });
    expect(lines.filter(({ level }) => level === "error").map(({ fields }) => fields)).toEqual([
      { err: AWAY },
      { err: MISSING },
    ]);
  });

  it("asks again after a tick that found the lease store away, and is idle until then", async () => {
    const { clock, lease, run, tick, facts, logged } = workerWorld();
    await lease.acquire(INSTALLATION, "host-2/1/cd34/t", 15_000);
    run();
    await settle();
    await tick();
    expect(facts().role).toBe("standby");
    const acquire = vi.spyOn(lease, "acquire").mockRejectedValue(LEASE_AWAY);
    vi.spyOn(lease, "ping").mockRejectedValueOnce(LEASE_AWAY);
    await tick();
    expect(facts()).toMatchObject({
      role: "idle",
      postgres: "ok",
      lease: { problem: LEASE_AWAY.message },
    });
    acquire.mockRestore();
    await clock.advance(5_000);
    expect(facts().lease).toBe("ok");
    expect(logged().filter((line) => line.startsWith("error"))).toEqual(["error cannot sweep"]);
  });

  it("is not ready after a sweep that lost its database, and asks until it is back", async () => {
    const { db, clock, store, leadership, run, tick, facts } = workerWorld();
    db.add();
    run();
    await settle();
    const read = vi.spyOn(store, "read").mockRejectedValue(AWAY);
    const probe = vi.spyOn(leadership, "read");
    await tick();
    probe.mockRejectedValueOnce(AWAY);
    await clock.advance(4_250);
    expect(facts()).toMatchObject({
      role: "idle",
      postgres: { problem: "ECONNREFUSED" },
      ownLastSweep: { status: "error" },
    });
    read.mockRestore();
    await clock.advance(5_000);
    expect(facts().postgres).toBe("ok");
  });

  it("is not ready while a sweep waits for its database, and again when it goes on", async () => {
    const { db, clock, store, backend, run, tick, facts } = workerWorld();
    backend.holds(db.add().id);
    run();
    await settle();
    vi.spyOn(store, "read").mockRejectedValueOnce(AWAY);
    await tick();
    expect(facts()).toMatchObject({ role: "sweeping", postgres: { problem: "ECONNREFUSED" } });
    await clock.advance(250);
    expect(facts()).toMatchObject({ role: "sweeping", postgres: "ok" });
  });

  it("is not ready, and not mended, after a sweep whose end could not be noted", async () => {
    const { clock, leadership, run, tick, facts, logged } = workerWorld();
    const view = await leadership.read();
    vi.spyOn(leadership, "read")
      .mockRejectedValueOnce(AWAY)
      .mockResolvedValueOnce(view)
      .mockRejectedValueOnce(AWAY);
    vi.spyOn(leadership, "finish").mockRejectedValueOnce(AWAY);
    run();
    await settle();
    await tick();
    expect(facts()).toMatchObject({
      postgres: { problem: "ECONNREFUSED" },
      ownLastSweep: { status: "error" },
    });
    expect(logged()).not.toContain("info stores answer again");
    await clock.advance(5_000);
    expect(facts().postgres).toBe("ok");
    expect(logged()).toContain("info stores answer again");
  });

  it("goes on after a sweep that lost its lease, and is ready for the next tick", async () => {
    const { db, clock, lease, backend, run, tick, facts } = workerWorld();
    const { id } = db.add();
    backend.holds(id);
    run();
    await settle();
    await tick();
    lease.forget(INSTALLATION);
    await clock.advance(5_000);
    expect(facts()).toMatchObject({ role: "idle", lease: "ok", ownLastSweep: { exitCode: 1 } });
    backend.says(id, { kind: "exited", exitCode: 0, stdout: "", stderr: "" });
    await tick();
    expect(db.runs.get(id)?.status).toBe("COMPLETED");
  });

  it("is not ready after a sweep whose lease could not be renewed, until the store is back", async () => {
    const { db, clock, lease, backend, run, tick, facts } = workerWorld();
    backend.holds(db.add().id);
    run();
    await settle();
    vi.spyOn(lease, "renew").mockRejectedValue(LEASE_AWAY);
    const ping = vi.spyOn(lease, "ping").mockRejectedValue(LEASE_AWAY);
    await tick();
    await clock.advance(13_000);
    expect(facts()).toMatchObject({
      role: "idle",
      postgres: "ok",
      lease: { problem: LEASE_AWAY.message },
      ownLastSweep: { exitCode: 1 },
    });
    ping.mockRestore();
    await clock.advance(5_000);
    expect(facts().lease).toBe("ok");
  });

  it("does not call a lease store well that it did not ask", async () => {
    const { db, lease, run, tick, facts } = workerWorld();
    db.leadership.leaseKind = "postgres";
    db.leadership.progressedAtMs = db.nowMs();
    vi.spyOn(lease, "ping").mockRejectedValue(LEASE_AWAY);
    run();
    await settle();
    await tick();
    expect(facts()).toMatchObject({
      role: "standby",
      otherLeaseKind: "postgres",
      postgres: "ok",
      lease: { problem: LEASE_AWAY.message },
    });
  });
});

import { describe, expect, it, vi } from "vitest";
import { StopRequestedError, StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { INSTALLATION } from "../../support/memory/memory-leadership.ts";
import { workerWorld } from "../../support/stands/worker-world.ts";

const SIGTERM = new StopRequestedError("SIGTERM");
const AWAY = new StoreUnavailableError("ECONNREFUSED");

describe("Worker stop", () => {
  const moments: readonly {
    readonly name: string;
    readonly before: (world: ReturnType<typeof workerWorld>) => Promise<void>;
  }[] = [
    { name: "while it waits for a tick", before: async () => {} },
    {
      name: "while it waits for a store that is away",
      before: async ({ leadership, clock, tick }) => {
        vi.spyOn(leadership, "read").mockRejectedValue(AWAY);
        await tick();
        await clock.advance(7_000);
      },
    },
    {
      name: "while it stands by",
      before: async ({ lease, tick }) => {
        await lease.acquire(INSTALLATION, "host-2/1/cd34/t", 15_000);
        await tick();
      },
    },
    {
      name: "while it stands by for a lease that never expires",
      before: async ({ lease, tick }) => {
        const held = { kind: "held", value: null, expiresInMs: null } as const;
        vi.spyOn(lease, "acquire").mockResolvedValue(held);
        await tick();
      },
    },
    {
      name: "while it asks about a run",
      before: async ({ db, backend, tick }) => {
        backend.holds(db.add().id);
        await tick();
      },
    },
    {
      name: "while it deletes a sandbox",
      before: async ({ db, backend, tick }) => {
        backend.holdsCleanup(db.addVerdict().sandboxId ?? "");
        await tick();
      },
    },
  ];
  for (const { name, before } of moments) {
    it(`ends at once ${name}, and leaves nothing behind`, async () => {
      const world = workerWorld();
      world.run();
      await settle();
      await before(world);
      expect(world.state()).toBe("running");
      world.stop.abort(SIGTERM);
      await settle();
      expect(world.state()).toBe("ended");
      expect(world.schedule.running).toBe(0);
      expect(world.clock.sleeping).toBe(0);
      expect(world.lease.holderOf(INSTALLATION) ?? "").not.toMatch(/^host-1/);
    });
  }

  it("ends at whatever moment of a tick it comes, and leaves no lease, no timer and no note", async () => {
    for (let turns = 0; turns < 150; turns += 1) {
      const { db, backend, lease, clock, stop, run, schedule, state } = workerWorld();
      backend.says(db.add().id, { kind: "exited", exitCode: 1, stdout: "", stderr: "" });
      db.add();
      run();
      await settle();
      schedule.tick();
      for (let turn = 0; turn < turns; turn += 1) await null;
      stop.abort(SIGTERM);
      await settle();
      const at = `after ${turns}`;
      expect(state(), at).toBe("ended");
      expect(lease.holderOf(INSTALLATION), at).toBeNull();
      expect(clock.sleeping, at).toBe(0);
      expect(db.leadership.leaseKind, at).toBeNull();
    }
  });

  it("does nothing when it is stopped before it began", async () => {
    const { leadership, stop, run } = workerWorld();
    const read = vi.spyOn(leadership, "read");
    stop.abort(SIGTERM);
    await run();
    expect(read).not.toHaveBeenCalled();
  });

  it("waits for a write on its way before it ends", async () => {
    const { db, store, stop, run, tick, state, lease } = workerWorld();
    db.add();
    const reply = Promise.withResolvers<void>();
    const defer = store.defer.bind(store);
    vi.spyOn(store, "defer").mockImplementation(async (...args) => {
      const result = await defer(...args);
      await reply.promise;
      return result;
    });
    run();
    await settle();
    await tick();
    stop.abort(SIGTERM);
    await settle();
    expect(state()).toBe("running");
    expect(lease.holderOf(INSTALLATION)).not.toBeNull();
    reply.resolve();
    await settle();
    expect(state()).toBe("ended");
    expect(lease.holderOf(INSTALLATION)).toBeNull();
  });
});

describe("Worker that leaves", () => {
  it("takes the note of its kind of lease away after it has swept", async () => {
    const { db, stop, run, tick } = workerWorld();
    run();
    await settle();
    await tick();
    expect(db.leadership.leaseKind).toBe("redis");
    stop.abort(SIGTERM);
    await settle();
    expect(db.leadership.leaseKind).toBeNull();
  });

  it("takes the note away when it is stopped in a sweep", async () => {
    const { db, backend, stop, run, tick } = workerWorld();
    backend.holds(db.add().id);
    run();
    await settle();
    await tick();
    stop.abort(SIGTERM);
    await settle();
    expect(db.leadership.leaseKind).toBeNull();
  });

  it("leaves the note of a worker that took an epoch after it", async () => {
    const { db, stop, run, tick } = workerWorld();
    run();
    await settle();
    await tick();
    db.takeEpoch();
    stop.abort(SIGTERM);
    await settle();
    expect(db.leadership.leaseKind).toBe("redis");
  });

  it("leaves the note alone when it never led", async () => {
    const { db, leadership, stop, run } = workerWorld();
    db.leadership.leaseKind = "redis";
    const clear = vi.spyOn(leadership, "clearLeaseKind");
    run();
    await settle();
    stop.abort(SIGTERM);
    await settle();
    expect(clear).not.toHaveBeenCalled();
  });

  it("ends when the note cannot be taken away", async () => {
    const { leadership, stop, run, tick, state } = workerWorld();
    vi.spyOn(leadership, "clearLeaseKind").mockRejectedValue(AWAY);
    run();
    await settle();
    await tick();
    stop.abort(SIGTERM);
    await settle();
    expect(state()).toBe("ended");
  });

  it("waits 2 s for the note to be taken away, and not longer", async () => {
    const { clock, leadership, stop, run, tick, state } = workerWorld();
    vi.spyOn(leadership, "clearLeaseKind").mockReturnValue(new Promise(() => {}));
    run();
    await settle();
    await tick();
    stop.abort(SIGTERM);
    await clock.advance(1_999);
    expect(state()).toBe("running");
    await clock.advance(1);
    expect(state()).toBe("ended");
  });
});

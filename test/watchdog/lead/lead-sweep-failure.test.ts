import { describe, expect, it, vi } from "vitest";
import {
  LeaseLostError,
  LeaseUnavailableError,
  StopRequestedError,
  StoreUnavailableError,
} from "../../../src/watchdog/errors.ts";
import type { EpochAnswer } from "../../../src/watchdog/store-ports.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { INSTALLATION } from "../../support/memory/memory-leadership.ts";
import { reportOf, type SweepWorld, sweepWorld } from "../../support/stands/sweep-world.ts";

const AWAY = new StoreUnavailableError("ECONNREFUSED");

describe("leadSweep that fails before it leads", () => {
  it("passes on that the leadership row cannot be read, and takes no lease", async () => {
    const { leadership, lease, lead } = sweepWorld();
    vi.spyOn(leadership, "read").mockRejectedValue(AWAY);
    const acquire = vi.spyOn(lease, "acquire");
    await expect(lead()).rejects.toBe(AWAY);
    expect(acquire).not.toHaveBeenCalled();
  });

  it("passes on that the lease store is away, and asks for no epoch", async () => {
    const { leadership, lease, lead } = sweepWorld();
    const error = new LeaseUnavailableError("no answer within 2000 ms");
    vi.spyOn(lease, "acquire").mockRejectedValue(error);
    const begin = vi.spyOn(leadership, "begin");
    await expect(lead()).rejects.toBe(error);
    expect(begin).not.toHaveBeenCalled();
  });

  it("gives the lease back when it is unknown whether the epoch was taken", async () => {
    const world = sweepWorld();
    vi.spyOn(world.leadership, "begin").mockRejectedValue(AWAY);
    await expect(world.lead()).rejects.toBe(AWAY);
    expectNothingSwept(world);
  });

  it("checks its trust before the epoch is taken", async () => {
    const world = sweepWorld();
    vi.spyOn(world.leadership, "begin").mockImplementation(async (_request, check) => {
      world.clock.block(13_000);
      check();
      throw new Error("the trust has ended");
    });
    await expect(world.lead()).rejects.toThrow(LeaseLostError);
    expectNothingSwept(world);
  });

  it("asks nobody for a lease when it is stopped while it reads the leadership row", async () => {
    const world = sweepWorld();
    const acquire = vi.spyOn(world.lease, "acquire");
    const reason = new Error("stopping");
    const rejected = expect(world.lead()).rejects.toBe(reason);
    world.stop.abort(reason);
    await rejected;
    expect(acquire).not.toHaveBeenCalled();
  });
});

describe("leadSweep whose term ends while the epoch is taken", () => {
  for (const { name, tookMs, status } of [
    {
      name: "sweeps when the trust outlasts it by one millisecond",
      tookMs: 12_999,
      status: "ok",
    },
    {
      name: "reports that it swept nothing when the trust ends with it",
      tookMs: 13_000,
      status: "error",
    },
  ]) {
    it(name, async () => {
      const world = sweepWorld();
      const { id } = world.db.add();
      const begin = world.leadership.begin.bind(world.leadership);
      vi.spyOn(world.leadership, "begin").mockImplementation(async (...args) => {
        const answer = await begin(...args);
        world.clock.block(tookMs);
        return answer;
      });
      const asked = status === "ok" ? [id] : [];
      expect(reportOf(await world.lead())).toMatchObject({
        status,
        epoch: 1,
        counts: { stale: asked.length },
      });
      expect(world.backend.asked).toEqual(asked);
      expect(world.lease.holderOf(INSTALLATION)).toBeNull();
    });
  }

  it("reports that it was stopped, asks nobody anything, and gives the lease back", async () => {
    const world = sweepWorld();
    world.db.add();
    const count = vi.spyOn(world.store, "backlog");
    const reply = Promise.withResolvers<EpochAnswer>();
    vi.spyOn(world.leadership, "begin").mockReturnValue(reply.promise);
    const result = world.lead();
    await settle();
    world.stop.abort(new StopRequestedError("SIGTERM"));
    const horizon = await world.leadership.horizon();
    const throttle = { pausedForMs: 0, concurrency: null };
    reply.resolve({ kind: "begun", epoch: 1, horizon, throttle });
    expect(reportOf(await result)).toMatchObject({ status: "interrupted", epoch: 1 });
    expect(count).not.toHaveBeenCalled();
    expectNothingSwept(world);
  });
});

function expectNothingSwept({ lease, db, clock }: SweepWorld): void {
  expect(lease.holderOf(INSTALLATION)).toBeNull();
  expect(db.leadership.lastReport).toBeNull();
  expect(clock.sleeping).toBe(0);
}

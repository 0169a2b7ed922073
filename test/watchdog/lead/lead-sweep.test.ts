import { describe, expect, it, vi } from "vitest";
import type { EpochAnswer } from "../../../src/watchdog/store-ports.ts";
import { INSTALLATION } from "../../support/memory/memory-leadership.ts";
import { HOLDER, type SweepWorld, sweepWorld } from "../../support/stands/sweep-world.ts";

/** Two times to live and one interval. */
const OTHER_KIND_AFTER_MS = 90_000;

describe("leadSweep", () => {
  it("takes the lease before the epoch, and gives it back at the end", async () => {
    const world = sweepWorld();
    const { store, lease, lead } = world;
    const { leadership } = world;
    const calls = [
      vi.spyOn(leadership, "read"),
      vi.spyOn(lease, "acquire"),
      vi.spyOn(leadership, "begin"),
      vi.spyOn(store, "stalePage"),
      vi.spyOn(leadership, "finish"),
      vi.spyOn(lease, "release"),
    ];
    expect((await lead()).kind).toBe("swept");
    const order = calls.map((call) => call.mock.invocationCallOrder[0]);
    expect(order).toEqual(order.toSorted((a, b) => (a ?? 0) - (b ?? 0)));
    expect(lease.holderOf(INSTALLATION)).toBeNull();
  });

  for (const { name, request, full } of [
    { name: "a full sweep", request: {}, full: true },
    { name: "a partial sweep of named runs", request: { runIds: ["a"] }, full: false },
    { name: "a partial sweep with a limit", request: { limit: 5 }, full: false },
  ]) {
    it(`asks for the epoch of ${name} in the name of this term`, async () => {
      const { leadership, lease, lead } = sweepWorld();
      const begin = vi.spyOn(leadership, "begin");
      const acquire = vi.spyOn(lease, "acquire");
      await lead({ trigger: "once", ...request });
      expect(begin.mock.lastCall?.[0]).toEqual({
        shard: 0,
        fencesAll: false,
        shards: 1,
        holder: HOLDER,
        leaseValue: `${HOLDER}/token-1`,
        leaseKind: "redis",
        trigger: "once",
        full,
        intervalMs: 60_000,
        otherKindAfterMs: OTHER_KIND_AFTER_MS,
      });
      expect(acquire.mock.lastCall).toEqual([INSTALLATION, `${HOLDER}/token-1`, 15_000]);
    });
  }

  it("tells what it read about the fleet, also when it is refused", async () => {
    const { lease, lead, db } = sweepWorld();
    await lease.acquire(INSTALLATION, "host-2/1/cd34/t", 15_000);
    db.leadership.epoch = 41;
    const onLeadership = vi.fn();
    await lead({}, { onLeadership });
    expect(onLeadership.mock.lastCall?.[0]).toMatchObject({ epoch: 41 });
  });
});

describe("leadSweep that is refused", () => {
  it("asks for no epoch while somebody else holds the lease, and tells who and how long", async () => {
    const world = sweepWorld();
    await world.lease.acquire(INSTALLATION, "host-2/1/cd34/t", 15_000);
    await world.clock.advance(1_000);
    const begin = vi.spyOn(world.leadership, "begin");
    expect(await world.lead()).toEqual({
      kind: "lease-held",
      holder: "host-2/1/cd34",
      expiresInMs: 14_000,
      heldForMs: null,
    });
    expect(begin).not.toHaveBeenCalled();
    expect(world.lease.holderOf(INSTALLATION)).toBe("host-2/1/cd34/t");
  });

  for (const { name, changes, heldForMs } of [
    { name: "its holder began one 40 s ago", changes: {}, heldForMs: 40_000 },
    { name: "nobody has begun any", changes: { sweepStartedAt: null }, heldForMs: null },
    {
      name: "the last one has ended",
      changes: { sweepFinishedAt: "2026-01-01T00:00:00.000000+00:00" },
      heldForMs: null,
    },
    { name: "somebody else began it", changes: { holder: "host-3/1/ef56" }, heldForMs: null },
  ]) {
    it(`tells ${heldForMs === null ? "nothing of how long" : "for how long"} the lease has been held when of the sweeps ${name}`, async () => {
      const { lease, leadership, lead } = sweepWorld();
      await lease.acquire(INSTALLATION, "host-2/1/cd34/t", 15_000);
      const view = {
        ...(await leadership.read()),
        holder: "host-2/1/cd34",
        sweepStartedAt: "2026-01-01T00:00:20.5+00:00",
        sweepFinishedAt: null,
        readAt: "2026-01-01T00:01:00.500000+00:00",
      };
      vi.spyOn(leadership, "read").mockResolvedValue({ ...view, ...changes });
      expect(await lead()).toMatchObject({ kind: "lease-held", heldForMs });
    });
  }

  it("tells of a lease that never expires", async () => {
    const { lease, lead } = sweepWorld();
    const held = { kind: "held", value: null, expiresInMs: null } as const;
    vi.spyOn(lease, "acquire").mockResolvedValue(held);
    expect(await lead()).toEqual({
      kind: "lease-held",
      holder: null,
      expiresInMs: null,
      heldForMs: null,
    });
  });

  const kinds: readonly {
    readonly name: string;
    readonly agoMs: number | null;
    readonly kind: "redis" | "postgres" | null;
    readonly swept: boolean;
  }[] = [
    {
      name: "stands by for workers with another kind of lease one millisecond before they count as gone",
      agoMs: OTHER_KIND_AFTER_MS - 1,
      kind: "postgres",
      swept: false,
    },
    {
      name: "takes over from workers with another kind of lease that made no progress for so long",
      agoMs: OTHER_KIND_AFTER_MS,
      kind: "postgres",
      swept: true,
    },
    {
      name: "takes over from workers with another kind of lease that never made progress",
      agoMs: null,
      kind: "postgres",
      swept: true,
    },
    {
      name: "goes on after workers with the same kind of lease",
      agoMs: 1,
      kind: "redis",
      swept: true,
    },
    { name: "goes on when the note was cleared", agoMs: 1, kind: null, swept: true },
  ];
  for (const { name, agoMs, kind, swept } of kinds) {
    it(name, async () => {
      const { db, lease, lead } = sweepWorld();
      db.leadership.leaseKind = kind;
      db.leadership.progressedAtMs = agoMs === null ? null : db.nowMs() - agoMs;
      const acquire = vi.spyOn(lease, "acquire");
      const result = await lead();
      if (swept) expect(result.kind).toBe("swept");
      else
        expect(result).toEqual({
          kind: "other-lease-kind",
          noted: { leaseKind: "postgres", shards: 1 },
        });
      expect(acquire).toHaveBeenCalledTimes(swept ? 1 : 0);
    });
  }

  const refusals: readonly { readonly answer: EpochAnswer; readonly expected: object }[] = [
    { answer: { kind: "already-swept" }, expected: { kind: "already-swept" } },
    {
      answer: { kind: "other-lease-kind", noted: { leaseKind: "postgres", shards: 1 } },
      expected: { kind: "other-lease-kind", noted: { leaseKind: "postgres", shards: 1 } },
    },
    {
      answer: { kind: "lease-lost" },
      expected: { kind: "lease-held", holder: null, expiresInMs: 0, heldForMs: null },
    },
  ];
  for (const { answer, expected } of refusals) {
    it(`sweeps nothing and gives the lease back when the epoch is refused as ${answer.kind}`, async () => {
      const world = sweepWorld();
      vi.spyOn(world.leadership, "begin").mockResolvedValue(answer);
      expect(await world.lead()).toEqual(expected);
      expectNothingSwept(world);
    });
  }

  it("does not sweep the same tick again, and sweeps the next one", async () => {
    const { clock, lead } = sweepWorld();
    expect((await lead()).kind).toBe("swept");
    await clock.advance(29_999);
    expect(await lead()).toEqual({ kind: "already-swept" });
    await clock.advance(1);
    expect((await lead()).kind).toBe("swept");
  });

  it("is not kept from a tick by a leader that died in it", async () => {
    const { db, lead } = sweepWorld();
    db.leadership.sweepStartedAtMs = db.nowMs();
    expect((await lead()).kind).toBe("swept");
  });
});

function expectNothingSwept({ lease, db, clock }: SweepWorld): void {
  expect(lease.holderOf(INSTALLATION)).toBeNull();
  expect(db.leadership.lastReport).toBeNull();
  expect(clock.sleeping).toBe(0);
}

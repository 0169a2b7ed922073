import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decide, type GuardPolicy, type GuardScene, isMassFailure } from "../../src/rules/guard.ts";

const DAY_MS = 86_400_000;

const POLICY: GuardPolicy = {
  confirmations: 2,
  min: 5,
  ratio: 0.25,
  perHour: 60,
  unverifiableAfterMs: DAY_MS,
};

const QUIET: GuardScene = {
  life: "seen",
  answered: 100,
  presumed: 5,
  appliedLastHour: 0,
  provenLastHour: 0,
};

/** Candidates are how long they are overdue. */
const NEW = 0;
const AT_BOUND = DAY_MS;

describe("decide", () => {
  const few = [NEW, NEW, NEW];
  const table: readonly {
    readonly name: string;
    readonly scene: Partial<GuardScene>;
    readonly applied: number;
    readonly reason: string | null;
  }[] = [
    { name: "few with life seen: all", scene: {}, applied: 3, reason: null },
    {
      name: "few with nobody to ask: up to the minimum in an hour",
      scene: { life: "nobody-to-ask", appliedLastHour: 3 },
      applied: 2,
      reason: "no other run to ask, 5 presumptions in an hour",
    },
    {
      name: "few with nobody to ask after the minimum in an hour: none",
      scene: { life: "nobody-to-ask", appliedLastHour: 5 },
      applied: 0,
      reason: "no other run to ask, 5 presumptions in an hour",
    },
    {
      name: "few with control runs that show no life: none",
      scene: { life: "none" },
      applied: 0,
      reason: "no sign of life from any run",
    },
    {
      name: "a mass with life seen: none",
      scene: { answered: 10, presumed: 6 },
      applied: 0,
      reason: "a mass: 6 presumptions, 10 runs answered",
    },
    {
      name: "a mass with nobody to ask: none",
      scene: { life: "nobody-to-ask", answered: 6, presumed: 6 },
      applied: 0,
      reason: "a mass: 6 presumptions, 6 runs answered",
    },
    {
      name: "a mass with control runs that show no life: none",
      scene: { life: "none", answered: 6, presumed: 6 },
      applied: 0,
      reason: "a mass: 6 presumptions, 6 runs answered",
    },
  ];
  it.each(table)("lets through $name", ({ scene, applied, reason }) => {
    const decision = decide(few, same, { ...QUIET, ...scene }, POLICY);
    expect(decision.apply).toHaveLength(applied);
    expect(decision.hold).toHaveLength(few.length - applied);
    expect(decision.reason).toBe(reason);
  });

  it("lets one that is exactly at its bound pass a mass, and holds one a millisecond before", () => {
    const scene = { ...QUIET, life: "none", presumed: 1000 } as const;
    const decision = decide([AT_BOUND - 1, AT_BOUND], same, scene, POLICY);
    expect(decision).toMatchObject({ apply: [AT_BOUND], hold: [AT_BOUND - 1] });
  });

  it("lets the last one of the hour pass, and holds the next", () => {
    const scene = { ...QUIET, appliedLastHour: 59 };
    const decision = decide([2, 1], same, scene, POLICY);
    expect(decision).toEqual({ apply: [2], hold: [1], reason: "60 presumptions in an hour" });
  });

  it("holds back by the hour's cap even those at their bound", () => {
    const scene = { ...QUIET, appliedLastHour: 60 };
    const decision = decide([AT_BOUND, AT_BOUND], same, scene, POLICY);
    expect(decision).toMatchObject({ apply: [], hold: [AT_BOUND, AT_BOUND] });
  });

  it("lets more pass in an hour when a share of what was proven is more, and not one beyond it", () => {
    const scene = { ...QUIET, appliedLastHour: 99, provenLastHour: 403 };
    const decision = decide([2, 1], same, scene, POLICY);
    expect(decision).toEqual({ apply: [2], hold: [1], reason: "100 presumptions in an hour" });
  });

  it("lets no fewer pass in an hour when that share is less", () => {
    const scene = { ...QUIET, appliedLastHour: 59, provenLastHour: 239 };
    expect(decide([2, 1], same, scene, POLICY)).toMatchObject({ apply: [2], hold: [1] });
  });

  it("takes the oldest first", () => {
    const scene = { ...QUIET, appliedLastHour: 58 };
    const decision = decide([1, 4, 2, 3], same, scene, POLICY);
    expect(decision).toMatchObject({ apply: [4, 3], hold: [2, 1] });
  });

  it("has nothing to explain when nothing waits", () => {
    const scene = { ...QUIET, life: "none" } as const;
    expect(decide([], same, scene, POLICY)).toEqual({ apply: [], hold: [], reason: null });
  });

  it("never loses one, never exceeds the cap, and lets nothing but bounds through a mass", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -DAY_MS, max: 3 * DAY_MS })),
        fc.record({
          life: fc.constantFrom("seen", "nobody-to-ask", "none"),
          answered: fc.nat(2000),
          presumed: fc.nat(2000),
          appliedLastHour: fc.nat(100),
          provenLastHour: fc.nat(1000),
        }),
        (waiting, scene) => {
          const { apply, hold, reason } = decide(waiting, same, scene, POLICY);
          expect([...apply, ...hold].sort()).toEqual([...waiting].sort());
          expect(reason === null).toBe(hold.length === 0);
          const cap = Math.max(POLICY.perHour, scene.provenLastHour / 4);
          const left = Math.max(0, Math.floor(cap) - scene.appliedLastHour);
          expect(apply.length).toBeLessThanOrEqual(left);
          if (isMassFailure(scene, POLICY) || scene.life === "none") {
            expect(apply.every((overdueMs) => overdueMs >= DAY_MS)).toBe(true);
          }
        },
      ),
    );
  });
});

describe("isMassFailure", () => {
  const cases = [
    { presumed: 5, answered: 0, mass: false },
    { presumed: 6, answered: 0, mass: true },
    { presumed: 6, answered: 23, mass: true },
    { presumed: 6, answered: 24, mass: false },
    { presumed: 25, answered: 100, mass: false },
    { presumed: 26, answered: 100, mass: true },
  ];
  it.each(cases)("is $mass for $presumed presumptions when $answered runs answered", (row) => {
    expect(isMassFailure({ ...QUIET, ...row }, POLICY)).toBe(row.mass);
  });
});

function same(overdueMs: number): number {
  return overdueMs;
}

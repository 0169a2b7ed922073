import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Outcome } from "../../../src/io/api-gate/circuit.ts";
import { Circuit } from "../../../src/io/api-gate/circuit.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";

function setup() {
  const clock = new FakeClock();
  const circuit = new Circuit(clock);
  return {
    clock,
    circuit,
    learn(outcome: Outcome, times = 1): void {
      for (let call = 0; call < times; call += 1) circuit.learn(outcome);
    },
  };
}

/** Open since this moment. */
function openSetup() {
  const world = setup();
  world.learn("failure", 5);
  return world;
}

/** Open, and due to be tried. */
async function dueSetup() {
  const world = openSetup();
  await world.clock.advance(10_000);
  return world;
}

describe("Circuit", () => {
  for (const outcome of ["failure", "rate-limited"] as const) {
    it(`stays closed after four in a row that ended as ${outcome}, and opens after five`, () => {
      const { circuit, learn } = setup();
      learn(outcome, 4);
      expect(circuit).toMatchObject({ state: "closed", openMs: 0 });
      learn(outcome);
      expect(circuit).toMatchObject({ state: "open", openMs: 10_000 });
    });
  }

  it("tells whether it opens", () => {
    const { circuit, learn } = setup();
    learn("failure", 3);
    expect(circuit.learn("failure")).toBe(false);
    expect(circuit.learn("failure")).toBe(true);
    expect(circuit.learn("failure")).toBe(false);
  });

  it("begins to count anew after a success", () => {
    const { circuit, learn } = setup();
    learn("failure", 4);
    learn("success");
    learn("failure", 4);
    expect(circuit.state).toBe("closed");
    learn("failure");
    expect(circuit.state).toBe("open");
  });

  it("counts on after an answer that says nothing", () => {
    const { circuit, learn } = setup();
    learn("failure", 4);
    learn("none", 9);
    expect(circuit.state).toBe("closed");
    learn("failure");
    expect(circuit.state).toBe("open");
  });

  it("opens once when more calls fail together", () => {
    const { circuit, learn } = setup();
    learn("failure", 16);
    expect(circuit.openMs).toBe(10_000);
  });

  it("may be tried after ten seconds, and not a millisecond earlier", async () => {
    const { circuit, clock } = openSetup();
    await clock.advance(9_999);
    expect(circuit).toMatchObject({ state: "open", openMs: 1 });
    await clock.advance(1);
    expect(circuit).toMatchObject({ state: "half-open", openMs: 0 });
  });

  it("does not mind the wall clock being set", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const { circuit, clock, learn } = openSetup();
    vi.setSystemTime(Date.now() - 3_600_000);
    await clock.advance(10_000);
    learn("success");
    expect(circuit.state).toBe("closed");
  });

  it("waits twice as long after each try that fails, up to less than a minute", async () => {
    const { circuit, clock, learn } = openSetup();
    const waits = [];
    for (let attempt = 0; attempt < 5; attempt += 1) {
      waits.push(circuit.openMs);
      await clock.advance(circuit.openMs);
      learn("failure");
    }
    expect(waits).toEqual([10_000, 20_000, 40_000, 50_000, 50_000]);
  });

  it("closes with the first success, and then takes five failures again and waits ten seconds", async () => {
    const { circuit, clock, learn } = await dueSetup();
    learn("failure");
    await clock.advance(20_000);
    learn("success");
    expect(circuit.state).toBe("closed");
    learn("failure", 4);
    expect(circuit.state).toBe("closed");
    learn("failure");
    expect(circuit.openMs).toBe(10_000);
  });

  it("stays half-open after an answer that says nothing", async () => {
    const { circuit, learn } = await dueSetup();
    learn("none");
    expect(circuit).toMatchObject({ state: "half-open", openMs: 0 });
    learn("success");
    expect(circuit.state).toBe("closed");
  });

  it("heeds nothing while it is open", () => {
    const { circuit, learn } = openSetup();
    learn("success");
    expect(circuit).toMatchObject({ state: "open", openMs: 10_000 });
  });
});

describe("Circuit.learn of what may be an owner's own affair", () => {
  function refuse({ circuit }: ReturnType<typeof setup>, ...owners: string[]) {
    for (const owner of owners) circuit.learn("failure", owner);
  }

  it("does not open for one owner, however often", () => {
    const world = setup();
    refuse(world, ...Array.from({ length: 50 }, () => "a"));
    expect(world.circuit.state).toBe("closed");
  });

  it("stays closed for four owners, and opens for five", () => {
    const world = setup();
    refuse(world, "a", "b", "a", "c", "d");
    expect(world.circuit.state).toBe("closed");
    refuse(world, "e");
    expect(world.circuit).toMatchObject({ state: "open", openMs: 10_000 });
  });

  it("forgets the owners with every success", () => {
    const world = setup();
    refuse(world, "a", "b", "c", "d");
    world.learn("success");
    refuse(world, "a", "b", "c", "e");
    expect(world.circuit.state).toBe("closed");
    refuse(world, "d");
    expect(world.circuit.state).toBe("open");
  });

  it("does not open a half-open circuit for one owner, and lets others try", async () => {
    const world = await dueSetup();
    refuse(world, "a", "a");
    expect(world.circuit.state).toBe("half-open");
    world.learn("success");
    expect(world.circuit.state).toBe("closed");
  });

  it("opens a half-open circuit for five owners, and waits twice as long", async () => {
    const world = await dueSetup();
    refuse(world, "a", "b", "c", "d");
    expect(world.circuit.state).toBe("half-open");
    refuse(world, "e");
    expect(world.circuit).toMatchObject({ state: "open", openMs: 20_000 });
  });

  it("counts the owners of one opening only", async () => {
    const world = setup();
    refuse(world, "a", "b", "c", "d", "e");
    refuse(world, "f", "g");
    expect(world.circuit.openMs).toBe(10_000);
    await world.clock.advance(10_000);
    refuse(world, "a", "b", "c", "d");
    expect(world.circuit.state).toBe("half-open");
    refuse(world, "e");
    expect(world.circuit.openMs).toBe(20_000);
  });
});

describe("Circuit.pause", () => {
  it("lasts as long as it was asked for, and leaves the circuit closed", async () => {
    const { circuit, clock } = setup();
    circuit.pause(2_000);
    expect(circuit).toMatchObject({ pausedMs: 2_000, openMs: 0, state: "closed" });
    await clock.advance(2_001);
    expect(circuit.pausedMs).toBe(0);
  });

  it("is made longer by a later wish for more, and not shorter by one for less", () => {
    const { circuit } = setup();
    circuit.pause(2_000);
    circuit.pause(1_000);
    expect(circuit.pausedMs).toBe(2_000);
    circuit.pause(3_000);
    expect(circuit.pausedMs).toBe(3_000);
  });
});

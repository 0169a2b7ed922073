import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Outcome } from "../../../src/io/backends/call-outcome.ts";
import { Circuit } from "../../../src/io/backends/circuit.ts";
import { FakeClock } from "../../support/fake-clock.ts";

function setup() {
  const clock = new FakeClock();
  const circuit = new Circuit(clock);
  return {
    clock,
    circuit,
    /** Calls one after the other, all of which end like this. */
    async end(outcome: Outcome, times = 1): Promise<void> {
      for (let call = 0; call < times; call += 1) await circuit.run(async () => ({ outcome }));
    },
    /** A call that ends when the test says so. */
    begin() {
      const { promise, resolve, reject } = Promise.withResolvers<{ outcome: Outcome }>();
      const ended = circuit.run(() => promise);
      return {
        end: async (outcome: Outcome) => {
          resolve({ outcome });
          await ended;
        },
        abort: async (reason: Error) => {
          reject(reason);
          await expect(ended).rejects.toBe(reason);
        },
      };
    },
  };
}

/** Open since this moment. */
async function openSetup() {
  const world = setup();
  await world.end("failure", 5);
  return world;
}

/** Open, and due to be tried. */
async function dueSetup() {
  const world = await openSetup();
  await world.clock.advance(10_000);
  return world;
}

describe("Circuit", () => {
  for (const outcome of ["failure", "rate-limited"] as const) {
    it(`stays closed after four in a row that ended as ${outcome}, and opens after five`, async () => {
      const { circuit, end } = setup();
      await end(outcome, 4);
      expect(circuit).toMatchObject({ state: "closed", waitMs: 0 });
      await end(outcome);
      expect(circuit).toMatchObject({ state: "open", waitMs: 10_000 });
    });
  }

  it("begins to count anew after a success", async () => {
    const { circuit, end } = setup();
    await end("failure", 4);
    await end("success");
    await end("failure", 4);
    expect(circuit.state).toBe("closed");
    await end("failure");
    expect(circuit.state).toBe("open");
  });

  it("counts on after an answer that says nothing", async () => {
    const { circuit, end } = setup();
    await end("failure", 4);
    await end("none", 9);
    expect(circuit.state).toBe("closed");
    await end("failure");
    expect(circuit.state).toBe("open");
  });

  it("does not count aborted calls", async () => {
    const { circuit, begin, end } = setup();
    for (let call = 0; call < 9; call += 1) await begin().abort(new Error("lease lost"));
    await end("failure", 4);
    await begin().abort(new Error("lease lost"));
    expect(circuit.state).toBe("closed");
    await end("failure");
    expect(circuit.state).toBe("open");
  });

  it("opens once when more calls fail together", async () => {
    const { circuit, begin } = setup();
    const calls = Array.from({ length: 16 }, begin);
    await Promise.all(calls.map((call) => call.end("failure")));
    expect(circuit.waitMs).toBe(10_000);
  });

  it("may be tried after ten seconds, and not a millisecond earlier", async () => {
    const { circuit, clock } = await openSetup();
    await clock.advance(9_999);
    expect(circuit).toMatchObject({ state: "open", waitMs: 1 });
    await clock.advance(1);
    expect(circuit).toMatchObject({ state: "half-open", waitMs: 0 });
  });

  it("does not mind the wall clock being set", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const { circuit, clock, end } = await openSetup();
    vi.setSystemTime(Date.now() - 3_600_000);
    await clock.advance(10_000);
    await end("success");
    expect(circuit.state).toBe("closed");
  });

  it("waits twice as long after each try that fails, up to a minute", async () => {
    const { circuit, clock, end } = await openSetup();
    const waits = [];
    for (let attempt = 0; attempt < 5; attempt += 1) {
      waits.push(circuit.waitMs);
      await clock.advance(circuit.waitMs);
      await end("failure");
    }
    expect(waits).toEqual([10_000, 20_000, 40_000, 50_000, 50_000]);
  });

  it("closes with the first success, and then takes five failures again and waits ten seconds", async () => {
    const { circuit, clock, end } = await dueSetup();
    await end("failure");
    await clock.advance(20_000);
    await end("success");
    expect(circuit.state).toBe("closed");
    await end("failure", 4);
    expect(circuit.state).toBe("closed");
    await end("failure");
    expect(circuit.waitMs).toBe(10_000);
  });

  it("shows the call that tries until it has decided", async () => {
    const { circuit, begin } = await dueSetup();
    expect(circuit.trial).toBeNull();
    const call = begin();
    const trial = circuit.trial;
    expect(trial).not.toBeNull();
    expect(circuit.state).toBe("half-open");
    const told = trial?.then(() => circuit.state);
    await call.end("success");
    expect(await told).toBe("closed");
    expect(circuit.trial).toBeNull();
  });

  it("has no trial while it is closed", async () => {
    const { circuit, begin } = setup();
    begin();
    expect(circuit.trial).toBeNull();
  });

  for (const [name, giveUp] of [
    ["is aborted", (call) => call.abort(new Error("stopping"))],
    ["says nothing", (call) => call.end("none")],
  ] as const satisfies readonly (readonly [
    string,
    (call: ReturnType<ReturnType<typeof setup>["begin"]>) => Promise<void>,
  ])[]) {
    it(`lets the next call try when the one that tried ${name}`, async () => {
      const { circuit, begin, end } = await dueSetup();
      await giveUp(begin());
      expect(circuit).toMatchObject({ state: "half-open", waitMs: 0, trial: null });
      await end("success");
      expect(circuit.state).toBe("closed");
    });
  }

  it("does not wait longer for tries that were aborted", async () => {
    const { circuit, begin, end } = await dueSetup();
    await begin().abort(new Error("stopping"));
    await begin().abort(new Error("stopping"));
    await end("failure");
    expect(circuit.waitMs).toBe(20_000);
  });

  for (const late of ["failure", "success"] as const) {
    it(`heeds no ${late} of a call from before it opened`, async () => {
      const { circuit, clock, begin, end } = setup();
      const slow = begin();
      const slower = begin();
      await end("failure", 5);
      await slow.end(late);
      expect(circuit).toMatchObject({ state: "open", waitMs: 10_000 });
      await clock.advance(10_000);
      await slower.end(late);
      expect(circuit.state).toBe("half-open");
    });
  }

  it("heeds no failure of a call from before it opened when it is closed again", async () => {
    const { circuit, clock, begin, end } = setup();
    const slow = Array.from({ length: 5 }, begin);
    await end("failure", 5);
    await clock.advance(10_000);
    await end("success");
    for (const call of slow) await call.end("failure");
    expect(circuit.state).toBe("closed");
  });
});

describe("Circuit.refused", () => {
  async function refuse({ circuit }: ReturnType<typeof setup>, ...owners: string[]) {
    for (const owner of owners) await circuit.refused(owner);
  }

  it("does not open for one owner, however often", async () => {
    const world = setup();
    await refuse(world, ...Array.from({ length: 50 }, () => "a"));
    expect(world.circuit.state).toBe("closed");
  });

  it("stays closed for four owners, and opens for five", async () => {
    const world = setup();
    await refuse(world, "a", "b", "a", "c", "d");
    expect(world.circuit.state).toBe("closed");
    await refuse(world, "e");
    expect(world.circuit).toMatchObject({ state: "open", waitMs: 10_000 });
  });

  it("counts with other failures", async () => {
    const world = setup();
    await refuse(world, "a", "b");
    await world.end("failure", 2);
    expect(world.circuit.state).toBe("closed");
    await world.end("failure");
    expect(world.circuit.state).toBe("open");
  });

  it("forgets the owners with every success", async () => {
    const world = setup();
    await refuse(world, "a", "b", "c", "d");
    await world.end("success");
    await refuse(world, "a", "b", "c", "e");
    expect(world.circuit.state).toBe("closed");
    await refuse(world, "d");
    expect(world.circuit.state).toBe("open");
  });

  it("does not open a half-open circuit for one owner, and lets others try", async () => {
    const world = await dueSetup();
    await world.end("none");
    await refuse(world, "a", "a");
    expect(world.circuit.state).toBe("half-open");
    await world.end("success");
    expect(world.circuit.state).toBe("closed");
  });

  it("opens a half-open circuit for five owners, and waits twice as long", async () => {
    const world = await dueSetup();
    await refuse(world, "a", "b", "c", "d");
    expect(world.circuit.state).toBe("half-open");
    await refuse(world, "e");
    expect(world.circuit).toMatchObject({ state: "open", waitMs: 20_000 });
  });

  it("counts the owners of one opening only", async () => {
    const world = setup();
    await refuse(world, "a", "b", "c", "d", "e");
    await refuse(world, "f", "g");
    expect(world.circuit.waitMs).toBe(10_000);
    await world.clock.advance(10_000);
    await refuse(world, "a", "b", "c", "d");
    expect(world.circuit.state).toBe("half-open");
    await refuse(world, "e");
    expect(world.circuit.waitMs).toBe(20_000);
  });

  it("decides against a call that tries at the same time", async () => {
    const world = await dueSetup();
    const trial = world.begin();
    await refuse(world, "a", "b", "c", "d", "e");
    expect(world.circuit.state).toBe("open");
    await trial.end("success");
    expect(world.circuit).toMatchObject({ state: "open", trial: null });
  });
});

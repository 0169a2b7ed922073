import { describe, expect, it } from "vitest";
import { CallBudget } from "../../../src/io/http/call.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import {
  DELETE,
  FAILING,
  GateWorld,
  garbage,
  MAIN,
  MINT,
  ok,
  status,
  timeout,
} from "./gate-world.ts";

describe("ApiGate's circuits", () => {
  const failures = [
    ["HTTP 408", status(408)],
    ["HTTP 429", status(429)],
    ["HTTP 500", status(500)],
    ["HTTP 503", status(503)],
    ["a timeout", timeout],
  ] as const;
  for (const [name, failure] of failures) {
    it(`refuses everything after five times ${name}, and not after four`, async () => {
      const world = new GateWorld();
      await world.endAll(failure, 4);
      expect(world.gate).toMatchObject({ breaker: "closed", blockedReason: null });
      await world.end(failure);
      expect(world.gate).toMatchObject({ breaker: "open", blockedReason: FAILING });
      const refused = { kind: "not-asked", reason: FAILING, retryAfterMs: 10_000 };
      for (const each of [MAIN, MINT, DELETE]) {
        expect(await world.ask({ name: each })).toMatchObject(refused);
      }
      expect(world.sent).toHaveLength(5);
    });
  }

  for (const [name, answer] of [
    ["malformed answers", garbage],
    ["HTTP 400", status(400)],
    ["HTTP 401", status(401)],
    ["HTTP 403", status(403)],
    ["HTTP 404", status(404)],
  ] as const) {
    it(`does not mind ${name}, and counts on after them`, async () => {
      const world = new GateWorld();
      await world.endAll(status(500), 4);
      await world.endAll(answer, 9);
      expect(world.gate.breaker).toBe("closed");
      await world.end(status(500));
      expect(world.gate.breaker).toBe("open");
    });
  }

  it("takes for a success what the call says is usable", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 4);
    const isUsable = () => true;
    await world.end(status(404), { call: { isUsable } });
    await world.endAll(status(500), 4);
    expect(world.gate.breaker).toBe("closed");
  });

  it("takes for no success what the call says is not usable", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 4);
    await world.end(ok, { call: { isUsable: () => false } });
    await world.end(status(500));
    expect(world.gate.breaker).toBe("open");
  });

  for (const [name, circuit] of [
    ["minting", MINT],
    ["deleting", DELETE],
  ] as const) {
    it(`goes on with look-ups when ${name} keeps failing`, async () => {
      const world = new GateWorld();
      await world.endAll(status(500), 5, { name: circuit });
      expect(world.gate).toMatchObject({ breaker: "open", blockedReason: null });
      expect(await world.ask({ name: circuit })).toMatchObject({
        kind: "not-asked",
        reason: `${circuit.source} keeps failing, its circuit breaker is open`,
        retryAfterMs: 10_000,
      });
      expect(await world.end(ok)).toBe(ok);
    });
  }

  it("tells the worst of its circuits", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 5, { name: MINT });
    await world.clock.advance(5_000);
    await world.endAll(status(500), 5);
    await world.clock.advance(5_000);
    expect(world.gate.breaker).toBe("open");
    await world.clock.advance(5_000);
    expect(world.gate.breaker).toBe("half-open");
    await world.end(ok);
    expect(world.gate.breaker).toBe("half-open");
    await world.end(ok, { name: MINT });
    expect(world.gate.breaker).toBe("closed");
  });

  it("recovers by itself: one call tries, those that wait for it go on after its success", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 5);
    await world.clock.advance(10_000);
    expect(world.gate).toMatchObject({ breaker: "half-open", blockedReason: null });
    const asked = Array.from({ length: 12 }, () => world.ask());
    await settle();
    expect(world.open).toHaveLength(1);
    await world.open[0]?.answer(ok);
    expect(world.open).toHaveLength(8);
    while (world.open.length > 0) await world.open[0]?.answer(ok);
    expect(await Promise.all(asked)).toEqual(Array.from({ length: 12 }, () => ok));
    expect(world.gate.breaker).toBe("closed");
  });

  it("refuses those that waited for the try when it fails", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 5);
    await world.clock.advance(10_000);
    const [first, ...others] = Array.from({ length: 12 }, () => world.ask());
    await settle();
    await world.open[0]?.answer(status(502));
    expect(await first).toEqual(status(502));
    for (const other of await Promise.all(others)) {
      expect(other).toMatchObject({ kind: "not-asked", reason: FAILING, retryAfterMs: 20_000 });
    }
    expect(world.sent).toHaveLength(6);
  });

  it("lets the next one try when the first is aborted", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 5);
    await world.clock.advance(10_000);
    const controller = new AbortController();
    const first = world.ask({ signal: controller.signal });
    const others = [world.ask(), world.ask()];
    await settle();
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(first).rejects.toBe(reason);
    await settle();
    expect(world.open).toHaveLength(1);
    await world.open[0]?.answer(ok);
    await world.open[0]?.answer(ok);
    expect(await Promise.all(others)).toEqual([ok, ok]);
  });

  it("lets an aborted call stop waiting for the one that tries", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 5);
    await world.clock.advance(10_000);
    void world.ask();
    const controller = new AbortController();
    const waiting = world.ask({ signal: controller.signal });
    await settle();
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(world.sent).toHaveLength(6);
  });

  it("refuses calls that were in the queue when the circuit opened", async () => {
    const world = new GateWorld(5);
    const asked = Array.from({ length: 20 }, () => world.ask());
    await settle();
    for (const sent of [...world.open]) await sent.answer(timeout);
    // Each of the first four answers let another call go; the fifth opened the circuit.
    expect(world.sent).toHaveLength(9);
    while (world.open.length > 0) await world.open[0]?.answer(ok);
    const kinds = (await Promise.all(asked)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "not-asked")).toHaveLength(11);
    expect(world.sent).toHaveLength(9);
  });

  it("is waited for by calls when it is over in five seconds, and not a millisecond later", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 5);
    await world.clock.advance(4_999);
    expect(world.gate.blockedReason).toBe(FAILING);
    expect(await world.ask()).toMatchObject({ kind: "not-asked", retryAfterMs: 5_001 });
    await world.clock.advance(1);
    expect(world.gate).toMatchObject({ breaker: "open", blockedReason: null });
    const asked = world.ask();
    await world.clock.advance(4_999);
    expect(world.sent).toHaveLength(5);
    await world.clock.advance(1);
    await world.open[0]?.answer(ok);
    expect(await asked).toBe(ok);
  });

  for (const [name, late] of [
    ["failure", status(500)],
    ["success", ok],
  ] as const) {
    it(`heeds no ${name} of a call from before it opened`, async () => {
      const world = new GateWorld();
      const slow = Array.from({ length: 6 }, () => world.ask());
      await settle();
      await world.endAll(status(500), 5);
      await world.open[0]?.answer(late);
      await world.clock.advance(10_000);
      expect(world.gate.breaker).toBe("half-open");
      for (const sent of [...world.open]) await sent.answer(late);
      expect(world.gate.breaker).toBe("half-open");
      await Promise.all(slow);
      await world.end(ok);
      expect(world.gate.breaker).toBe("closed");
    });
  }

  it("does not count aborted calls", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 4);
    for (let call = 0; call < 9; call += 1) {
      const controller = new AbortController();
      const aborted = world.ask({ signal: controller.signal });
      await settle();
      controller.abort(new Error("lease lost"));
      await expect(aborted).rejects.toThrow("lease lost");
    }
    expect(world.gate.breaker).toBe("closed");
    await world.end(status(500));
    expect(world.gate.breaker).toBe("open");
  });

  it("does not count a timeout of a call that had less than half of its time left", async () => {
    const budget = (leftMs: number) => {
      const spent = new CallBudget(30_000);
      spent.spend(30_000 - leftMs);
      return spent;
    };
    const world = new GateWorld();
    for (let call = 0; call < 9; call += 1) await world.end(timeout, { budget: budget(14_999) });
    expect(world.gate.breaker).toBe("closed");
    for (let call = 0; call < 5; call += 1) await world.end(timeout, { budget: budget(15_000) });
    expect(world.gate.breaker).toBe("open");
  });

  it("counts HTTP 408 however little time the call had left", async () => {
    const world = new GateWorld();
    const budget = new CallBudget(30_000);
    budget.spend(29_999);
    await world.endAll(status(408), 5, { budget });
    expect(world.gate.breaker).toBe("open");
  });

  it("does not count calls that have no time left", async () => {
    const world = new GateWorld();
    const budget = new CallBudget(30_000);
    budget.spend(30_000);
    for (let call = 0; call < 9; call += 1) expect(await world.ask({ budget })).toBe(timeout);
    expect(world.gate.breaker).toBe("closed");
    expect(world.sent).toEqual([]);
  });
});

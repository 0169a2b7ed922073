import { describe, expect, it } from "vitest";
import { CallBudget } from "../../../src/io/http/call.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { DELETE, GateWorld, MAIN, MINT, ok, PAUSED, status } from "./gate-world.ts";

describe("ApiGate's pause", () => {
  for (const code of [429, 503, 404]) {
    it(`begins with an HTTP ${code} that asks for one, and is told what is left of it`, async () => {
      const world = new GateWorld();
      await world.end(status(code, 30_000));
      expect(world.gate.blockedReason).toBe(PAUSED);
      expect(world.gate.throttle.pausedForMs).toBe(30_000);
      await world.clock.advance(10_000);
      expect(world.gate.throttle.pausedForMs).toBe(20_000);
    });
  }

  for (const [name, answer] of [
    ["an answer that asks for none", status(503)],
    ["one that asks for none at all", status(503, 0)],
  ] as const) {
    it(`does not begin with ${name}`, async () => {
      const world = new GateWorld();
      await world.end(answer);
      expect(world.gate).toMatchObject({ blockedReason: null, throttle: { pausedForMs: 0 } });
    });
  }

  it("refuses every call while more than five seconds are left, and waits for the rest", async () => {
    const world = new GateWorld();
    await world.end(status(429, 30_000));
    await world.clock.advance(24_999);
    for (const name of [MAIN, MINT, DELETE]) {
      expect(await world.ask({ name })).toMatchObject({
        kind: "not-asked",
        reason: PAUSED,
        retryAfterMs: 5_001,
      });
    }
    await world.clock.advance(1);
    expect(world.gate.blockedReason).toBeNull();
    const asked = world.ask();
    await world.clock.advance(4_999);
    expect(world.sent).toHaveLength(1);
    await world.clock.advance(1);
    expect(world.sent).toHaveLength(2);
    await world.open[0]?.answer(ok);
    expect(await asked).toBe(ok);
  });

  it("costs those that wait nothing of their time", async () => {
    const world = new GateWorld();
    await world.end(status(503, 5_000));
    const budget = new CallBudget(1_000);
    const asked = world.ask({ budget });
    await world.clock.advance(5_000);
    await world.open[0]?.answer(ok);
    expect(await asked).toBe(ok);
    expect(budget.leftMs).toBe(1_000);
  });

  it("is left at once by a call that is aborted", async () => {
    const world = new GateWorld();
    await world.end(status(503, 5_000));
    const controller = new AbortController();
    const asked = world.ask({ signal: controller.signal });
    await settle();
    const reason = new Error("lease lost");
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    expect(world.clock.sleeping).toBe(0);
  });

  it("holds back calls that were in the queue when it began", async () => {
    const world = new GateWorld(2);
    const asked = Array.from({ length: 4 }, () => world.ask());
    await settle();
    for (const sent of [...world.open]) await sent.answer(status(503, 3_000));
    expect(world.sent).toHaveLength(2);
    await world.clock.advance(2_999);
    expect(world.sent).toHaveLength(2);
    await world.clock.advance(1);
    expect(world.sent).toHaveLength(4);
    for (const sent of [...world.open]) await sent.answer(ok);
    await Promise.all(asked);
  });

  it("refuses calls that were in the queue when a long one began", async () => {
    const world = new GateWorld(1);
    const asked = Array.from({ length: 3 }, () => world.ask());
    await settle();
    await world.open[0]?.answer(status(429, 60_000));
    const kinds = (await Promise.all(asked)).map(({ kind }) => kind);
    expect(kinds).toEqual(["status", "not-asked", "not-asked"]);
  });

  it("refuses calls that waited for its end when it became a long one", async () => {
    const world = new GateWorld();
    const slow = world.ask();
    await settle();
    await world.end(status(503, 2_000));
    const waiting = world.ask();
    await world.clock.advance(1_000);
    await world.open[0]?.answer(status(503, 60_000));
    await slow;
    await world.clock.advance(1_000);
    expect(await waiting).toMatchObject({ kind: "not-asked", retryAfterMs: 59_000 });
  });

  it("is not made shorter by a later answer that asks for less", async () => {
    const world = new GateWorld();
    const asked = [world.ask(), world.ask()];
    await settle();
    await world.open[0]?.answer(status(503, 60_000));
    await world.open[0]?.answer(status(503, 1_000));
    await Promise.all(asked);
    expect(world.gate.throttle.pausedForMs).toBe(60_000);
  });

  it("sends no more at once than allowed when it is over", async () => {
    const world = new GateWorld(8);
    const asked = Array.from({ length: 20 }, () => world.ask());
    await settle();
    await world.open[0]?.answer(status(429, 2_000));
    for (const sent of [...world.open]) await sent.answer(ok);
    expect(world.sent).toHaveLength(8);
    await world.clock.advance(2_000);
    expect(world.open).toHaveLength(4);
    while (world.open.length > 0) await world.open[0]?.answer(ok);
    await Promise.all(asked);
  });

  it("goes before the call that tries a half-open circuit", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 4);
    await world.end(status(503, 14_000));
    await world.clock.advance(10_000);
    const asked = world.ask();
    await settle();
    expect(world.sent).toHaveLength(5);
    await world.clock.advance(4_000);
    expect(world.sent).toHaveLength(6);
    await world.open[0]?.answer(ok);
    expect(await asked).toBe(ok);
  });
});

describe("ApiGate.restore", () => {
  it("takes over what an earlier leader was asked for", () => {
    const { gate } = new GateWorld(8);
    gate.restore({ pausedForMs: 40_000, concurrency: 2 });
    expect(gate.throttle).toEqual({ pausedForMs: 40_000, concurrency: 2 });
    expect(gate.blockedReason).toBe(PAUSED);
  });

  it("keeps the longer pause and the smaller number, whichever it is", () => {
    const { gate } = new GateWorld(8);
    gate.restore({ pausedForMs: 40_000, concurrency: 2 });
    gate.restore({ pausedForMs: 10_000, concurrency: 4 });
    gate.restore({ pausedForMs: 0, concurrency: null });
    expect(gate.throttle).toEqual({ pausedForMs: 40_000, concurrency: 2 });
    gate.restore({ pausedForMs: 50_000, concurrency: 1 });
    expect(gate.throttle).toEqual({ pausedForMs: 50_000, concurrency: 1 });
  });

  it("is not tied to more than is configured here, or to less than one", () => {
    const { gate } = new GateWorld(8);
    gate.restore({ pausedForMs: 0, concurrency: 16 });
    expect(gate.throttle.concurrency).toBeNull();
    gate.restore({ pausedForMs: 0, concurrency: 0 });
    expect(gate.throttle.concurrency).toBe(1);
  });

  it("believes in no pause longer than five minutes", () => {
    const { gate } = new GateWorld(8);
    gate.restore({ pausedForMs: 300_001, concurrency: null });
    expect(gate.throttle.pausedForMs).toBe(300_000);
  });

  it("restores what is given back step by step", async () => {
    const world = new GateWorld(3);
    world.gate.restore({ pausedForMs: 0, concurrency: 1 });
    await world.end(ok);
    expect(world.gate.throttle.concurrency).toBe(2);
    await world.endAll(ok, 2);
    expect(world.gate.throttle.concurrency).toBeNull();
  });
});

import { describe, expect, it } from "vitest";
import type { HttpAnswer } from "../../../src/io/http/answer.ts";
import { skewMs } from "../../../src/rules/clock-skew.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { DELETE, GateWorld, MAIN, MINT, ok, status, timeout } from "./gate-world.ts";

describe("ApiGate", () => {
  it("lets a call through and gives its answer back", async () => {
    const world = new GateWorld();
    expect(await world.end(ok)).toBe(ok);
    expect(world.gate).toMatchObject({ breaker: "closed", blockedReason: null });
    expect(world.gate.throttle).toEqual({ pausedForMs: 0, concurrency: null });
  });

  it("sends as many calls at once as configured, whatever they are about, and the next with each answer", async () => {
    const world = new GateWorld(2);
    const asked = [MAIN, MINT, DELETE, MAIN].map((name) => world.ask({ name }));
    await settle();
    expect(world.open).toHaveLength(2);
    await world.open[0]?.answer(ok);
    expect(world.sent).toHaveLength(3);
    for (const sent of [...world.open]) await sent.answer(ok);
    await world.open[0]?.answer(ok);
    expect(await Promise.all(asked)).toEqual([ok, ok, ok, ok]);
  });

  it("tells the API's clock as the last answer that has the time shows it", async () => {
    const world = new GateWorld();
    const nowMs = world.clock.now().getTime();
    await world.end(ok);
    expect(world.gate.clock).toBeNull();
    for (const [offMs, skew] of [
      [0, 0],
      [-999, 0],
      [-5000, -4000],
      [7000, 7000],
    ] as const) {
      for (const answer of [ok, status(401)]) {
        await world.end({ ...answer, dateMs: nowMs + offMs } as HttpAnswer);
        expect(world.gate.clock && skewMs(world.gate.clock)).toBe(skew);
      }
    }
    await world.end(ok);
    await world.end(timeout);
    expect(world.gate.clock && skewMs(world.gate.clock)).toBe(7000);
  });

  it("halves what it sends at once after a 429", async () => {
    const world = new GateWorld(4);
    const asked = Array.from({ length: 8 }, () => world.ask());
    await settle();
    await world.open[0]?.answer(status(429));
    expect(world.gate.throttle).toEqual({ pausedForMs: 0, concurrency: 2 });
    expect(world.open).toHaveLength(3);
    await world.open[0]?.answer(ok);
    expect(world.open).toHaveLength(2);
    await world.open[0]?.answer(ok);
    expect(world.open).toHaveLength(2);
    while (world.open.length > 0) await world.open[0]?.answer(ok);
    await Promise.all(asked);
    for (const { inFlight, limit } of world.sent) expect(inFlight).toBeLessThanOrEqual(limit);
  });

  it("halves it once for a burst, and gives nothing back for what succeeds beside it", async () => {
    const world = new GateWorld(8);
    const asked = Array.from({ length: 8 }, () => world.ask());
    await settle();
    for (let call = 0; call < 4; call += 1) await world.open[0]?.answer(status(429));
    for (let call = 0; call < 4; call += 1) await world.open[0]?.answer(ok);
    await Promise.all(asked);
    expect(world.gate.throttle.concurrency).toBe(4);
  });

  it("halves it again for a call that was sent after the reduction", async () => {
    const world = new GateWorld(8);
    const asked = [world.ask(), world.ask()];
    await settle();
    await world.open[0]?.answer(status(429));
    await world.end(status(429));
    expect(world.gate.throttle.concurrency).toBe(2);
    await world.open[0]?.answer(status(429));
    await Promise.all(asked);
    expect(world.gate.throttle.concurrency).toBe(2);
  });

  it("sends what waits in the order it came", async () => {
    const world = new GateWorld(1);
    const urls = [1, 2, 3, 4, 5].map((number) => new URL(`https://api.example/${number}`));
    const asked = urls.map((url) => world.ask({ call: { url } }));
    await settle();
    while (world.open.length > 0) await world.open[0]?.answer(ok);
    await Promise.all(asked);
    expect(world.sent.map(({ call }) => call.url)).toEqual(urls);
  });

  it("sends nothing when it was its turn right before the limit fell", async () => {
    // Whichever moment that is between the answer that frees the slot and the call that gets it.
    for (let turns = 0; turns < 40; turns += 1) {
      const world = new GateWorld(2);
      const asked = [world.ask(), world.ask(), world.ask()];
      await settle();
      void world.open[0]?.answer(ok);
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      world.gate.restore({ pausedForMs: 0, concurrency: 1 });
      await settle();
      for (const { inFlight, limit } of world.sent) expect(inFlight).toBeLessThanOrEqual(limit);
      while (world.open.length > 0) await world.open[0]?.answer(ok);
      expect(await Promise.all(asked)).toEqual([ok, ok, ok]);
    }
  });

  it("lets an aborted call leave the queue at once", async () => {
    const world = new GateWorld(1);
    void world.ask();
    const controller = new AbortController();
    const waiting = world.ask({ signal: controller.signal });
    const behind = world.ask();
    await settle();
    const reason = new Error("lease lost");
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await world.open[0]?.answer(ok);
    await world.open[0]?.answer(ok);
    expect(await behind).toBe(ok);
    expect(world.sent).toHaveLength(2);
  });

  it("frees the slot of a call that is aborted", async () => {
    const world = new GateWorld(1);
    const controller = new AbortController();
    const aborted = world.ask({ signal: controller.signal });
    await settle();
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    expect(await world.end(ok)).toBe(ok);
  });

  it("rejects with the reason of a signal that is aborted already, also while it refuses", async () => {
    const world = new GateWorld();
    const reason = new Error("stopping");
    const signal = AbortSignal.abort(reason);
    await expect(world.ask({ signal })).rejects.toBe(reason);
    world.gate.restore({ pausedForMs: 60_000, concurrency: null });
    await expect(world.ask({ signal })).rejects.toBe(reason);
    expect(world.sent).toEqual([]);
  });
});

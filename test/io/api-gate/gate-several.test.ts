import { describe, expect, it } from "vitest";
import type { GatedCall } from "../../../src/io/api-gate/gate.ts";
import { CallBudget } from "../../../src/io/http/call.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { calm } from "../http/world.ts";
import { GateWorld, garbage, MAIN, ok, PAUSED, status, timeout } from "./gate-world.ts";

const SEVERAL: Partial<GatedCall> = { operation: "batch_get_sandboxes", standsFor: MAIN };
const BATCH = { call: SEVERAL };

describe("a call that the gate lets through for several", () => {
  for (const code of [408, 500, 503]) {
    it(`does not count as a failure with HTTP ${code}, however often`, async () => {
      const world = new GateWorld();
      await world.endAll(status(code), 12, BATCH);
      expect(world.gate).toMatchObject({ breaker: "closed", blockedReason: null });
    });
  }

  it("counts as a failure of the single one when there is no answer", async () => {
    const world = new GateWorld();
    await world.endAll(timeout, 4, BATCH);
    expect(world.gate.breaker).toBe("closed");
    await world.end(timeout);
    expect(world.gate.breaker).toBe("open");
  });

  it("counts as a success of the single one", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 4);
    await world.end(ok, BATCH);
    await world.endAll(status(500), 4);
    expect(world.gate.breaker).toBe("closed");
    await world.end(status(500));
    expect(world.gate.breaker).toBe("open");
  });

  it("counts as nothing when its answer cannot be used", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 4);
    await world.end(garbage, BATCH);
    await world.end(status(500), BATCH);
    await world.end(status(500));
    expect(world.gate.breaker).toBe("open");
  });

  it("is not sent while the single one's circuit is open", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 5);
    expect(await world.ask(BATCH)).toMatchObject({ kind: "not-asked" });
  });

  it("halves the limit once with 429", async () => {
    const world = new GateWorld();
    await world.end(status(429), BATCH);
    expect(world.limit).toBe(4);
  });

  it("is asked for a pause like the single one", async () => {
    const world = new GateWorld();
    await world.end(status(503, 30_000), BATCH);
    expect(world.gate.blockedReason).toBe(PAUSED);
  });
});

describe("ApiGate.requestWhenDue", () => {
  function waitingCall(world: GateWorld, signal = calm()) {
    const prepared: string[] = [];
    let goesAlong = "nobody";
    const call = { ...MAIN, method: "GET", headers: {}, expects: "json", guarded: false } as const;
    const answer = world.gate.requestWhenDue(
      MAIN,
      () => {
        prepared.push(goesAlong);
        const url = new URL(`https://api.example/${goesAlong}`);
        return { call: { ...call, url }, budget: new CallBudget(30_000) };
      },
      signal,
    );
    return { prepared, answer, join: (name: string) => (goesAlong = name) };
  }

  it("puts the call together at once when nothing is in its way", async () => {
    const world = new GateWorld();
    const { prepared } = waitingCall(world);
    await settle();
    expect(prepared).toEqual(["nobody"]);
    expect(world.sent).toHaveLength(1);
  });

  it("puts it together when its turn has come, with what came to wait meanwhile", async () => {
    const world = new GateWorld(1);
    const first = world.ask();
    await settle();
    const { prepared, answer, join } = waitingCall(world);
    await settle();
    expect(prepared).toEqual([]);
    join("somebody");
    await world.open[0]?.answer(ok);
    await first;
    await settle();
    expect(world.sent.at(-1)?.call.url.pathname).toBe("/somebody");
    await world.open[0]?.answer(ok);
    expect(await answer).toBe(ok);
    expect(prepared).toEqual(["somebody"]);
  });

  it("puts nothing together that is not asked", async () => {
    const world = new GateWorld();
    await world.endAll(status(500), 5);
    const { prepared, answer } = waitingCall(world);
    expect(await answer).toMatchObject({ kind: "not-asked" });
    expect(prepared).toEqual([]);
  });

  it("puts nothing together that is aborted while it waits", async () => {
    const world = new GateWorld(1);
    void world.ask();
    await settle();
    const controller = new AbortController();
    const { prepared, answer } = waitingCall(world, controller.signal);
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(answer).rejects.toBe(reason);
    await world.open[0]?.answer(ok);
    await settle();
    expect(prepared).toEqual([]);
    expect(world.sent).toHaveLength(1);
  });
});

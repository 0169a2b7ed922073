import { describe, expect, it } from "vitest";
import { Circuit } from "../../../src/io/api-gate/circuit.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import {
  type Ask,
  DELETE,
  FAILING,
  GateWorld,
  MAIN,
  MINT,
  ok,
  PAUSED,
  PAUSED_ONE,
  status,
} from "./gate-world.ts";

const OWN_REFUSAL = "sandbox_api keeps refusing one owner";

/** A gate, and credentials that it has not met. */
function setup(concurrency = 8) {
  const world = new GateWorld(concurrency);
  const [a, b, c, d, e, f] = Array.from({ length: 6 }, (): Ask => {
    const credential = new Circuit(world.clock);
    return { call: { credential } };
  }) as [Ask, Ask, Ask, Ask, Ask, Ask];
  return { world, a, b, c, d, e, f };
}

describe("ApiGate and the pause of one credential", () => {
  for (const code of [429, 503]) {
    it(`keeps to itself what an HTTP ${code} asked for`, async () => {
      const { world, a, b } = setup();
      await world.end(status(code, 60_000), a);
      for (const name of [MAIN, DELETE]) {
        expect(await world.ask({ ...a, name })).toEqual({
          kind: "not-asked",
          reason: PAUSED_ONE,
          retryAfterMs: 60_000,
          everybody: false,
        });
      }
      expect(world.gate).toMatchObject({ blockedReason: null, breaker: "closed" });
      expect(world.gate.throttle.pausedForMs).toBe(0);
      expect(await world.end(ok, b)).toBe(ok);
      expect(await world.end(ok, { name: MINT })).toBe(ok);
    });
  }

  it("ends when it is over", async () => {
    const { world, a } = setup();
    await world.end(status(429, 60_000), a);
    await world.clock.advance(60_000);
    expect(await world.end(ok, a)).toBe(ok);
  });

  it("is waited for when it is short, and takes no turn from the others", async () => {
    const { world, a, b } = setup(1);
    await world.end(status(429, 5_000), a);
    const waiting = [world.ask(a), world.ask(a)];
    await settle();
    for (let call = 0; call < 9; call += 1) expect(await world.end(ok, b)).toBe(ok);
    expect(world.sent).toHaveLength(10);
    await world.clock.advance(5_000);
    while (world.open.length > 0) await world.open[0]?.answer(ok);
    expect(await Promise.all(waiting)).toEqual([ok, ok]);
  });

  it("is everybody's when nobody has a credential of its own", async () => {
    const { world, a } = setup();
    await world.end(status(429, 60_000), { name: MINT });
    expect(world.gate.blockedReason).toBe(PAUSED);
    expect(await world.ask(a)).toMatchObject({ reason: PAUSED, everybody: true });
  });
});

describe("ApiGate and the pauses of several credentials", () => {
  it("takes three in a row for everybody's, and not two", async () => {
    const { world, a, b, c, d } = setup();
    for (const each of [a, b]) await world.end(status(429, 60_000), each);
    expect(world.gate.blockedReason).toBeNull();
    await world.end(status(429, 60_000), c);
    expect(world.gate.blockedReason).toBe(PAUSED);
    expect(world.gate.throttle.pausedForMs).toBe(60_000);
    expect(await world.ask(d)).toMatchObject({ reason: PAUSED, everybody: true });
    await world.clock.advance(60_000);
    expect(await world.end(ok, d)).toBe(ok);
  });

  it("takes for everybody's what three draw that were under way together", async () => {
    const { world, a, b, c, d } = setup();
    const asked = [a, b, c].map((each) => world.ask(each));
    await settle();
    for (const sent of [...world.open]) await sent.answer(status(429, 60_000));
    await Promise.all(asked);
    expect(await world.ask(d)).toMatchObject({ reason: PAUSED, everybody: true });
  });

  it("counts each credential once", async () => {
    const { world, a, b } = setup();
    for (let pause = 0; pause < 4; pause += 1) {
      await world.end(status(429, 6_000), a);
      await world.end(status(429, 6_000), b);
      await world.clock.advance(6_000);
    }
    expect(world.gate).toMatchObject({ blockedReason: null, breaker: "closed" });
  });

  it("opens the circuit with the fifth pause of everybody in a row, and not with the fourth", async () => {
    const { world } = setup();
    for (let pause = 1; pause <= 5; pause += 1) {
      expect(world.gate.breaker).toBe("closed");
      for (let owner = 1; owner <= 3; owner += 1) {
        const credential = new Circuit(world.clock);
        await world.end(status(429, 1_000), { call: { credential } });
      }
      await world.clock.advance(1_000);
    }
    expect(world.gate.breaker).toBe("open");
  });

  it("lasts as long as three have to wait", async () => {
    const { world, a, b, c, d } = setup();
    for (const each of [a, b]) await world.end(status(503, 300_000), each);
    await world.end(status(503, 20_000), c);
    expect(world.gate.throttle.pausedForMs).toBe(20_000);
    await world.clock.advance(20_000);
    expect(world.gate.blockedReason).toBeNull();
    await world.end(status(503, 30_000), d);
    expect(world.gate.throttle.pausedForMs).toBe(30_000);
  });

  it("begins to count anew when the main question is answered in between", async () => {
    const { world, a, b, c, d } = setup();
    for (const each of [a, b]) await world.end(status(503, 60_000), each);
    await world.end(ok, d);
    await world.end(status(503, 60_000), c);
    expect(world.gate.blockedReason).toBeNull();
  });

  it("does not mind that side questions are answered in between", async () => {
    const { world, a, b, c } = setup();
    for (const each of [a, b]) await world.end(status(503, 60_000), each);
    await world.end(ok, { name: MINT });
    await world.end(status(503, 60_000), c);
    expect(world.gate.blockedReason).toBe(PAUSED);
  });

  it("is over when somebody is answered after all, and each waits for itself again", async () => {
    const { world, a, b, c, d } = setup();
    const slow = world.ask(d);
    await settle();
    for (const each of [a, b, c]) {
      const asked = world.ask(each);
      await settle();
      await world.open.at(-1)?.answer(status(503, 60_000));
      await asked;
    }
    expect(world.gate.blockedReason).toBe(PAUSED);
    await world.open[0]?.answer(ok);
    await slow;
    expect(world.gate.blockedReason).toBeNull();
    expect(await world.end(ok, d)).toBe(ok);
    expect(await world.ask(a)).toMatchObject({ reason: PAUSED_ONE, retryAfterMs: 60_000 });
  });
});

describe("ApiGate and 429s without a pause", () => {
  it("stops the one credential that draws five in a row, and not one that draws four", async () => {
    const { world, a, b } = setup();
    await world.endAll(status(429), 4, b);
    await world.endAll(status(429), 5, a);
    expect(await world.ask(a)).toEqual({
      kind: "not-asked",
      reason: OWN_REFUSAL,
      retryAfterMs: 10_000,
      everybody: false,
    });
    expect(world.gate).toMatchObject({ blockedReason: null, breaker: "closed" });
    expect(await world.end(ok, b)).toBe(ok);
    await world.clock.advance(10_000);
    const [first, second] = [world.ask(a), world.ask(a)];
    await settle();
    expect(world.open).toHaveLength(1);
    await world.open[0]?.answer(status(429));
    expect(await first).toEqual(status(429));
    expect(await second).toMatchObject({ reason: OWN_REFUSAL, retryAfterMs: 20_000 });
  });

  it("begins to count anew when the credential is answered", async () => {
    const { world, a } = setup();
    for (let round = 0; round < 2; round += 1) {
      await world.endAll(status(429), 4, a);
      expect(await world.end(ok, a)).toBe(ok);
    }
  });

  it("counts a burst as one", async () => {
    const { world, a } = setup();
    const asked = Array.from({ length: 8 }, () => world.ask(a));
    await settle();
    for (const sent of [...world.open]) await sent.answer(status(429));
    await Promise.all(asked);
    expect(await world.end(ok, a)).toBe(ok);
  });

  it("stops everybody after five credentials in a row, and not after four", async () => {
    const { world, a, b, c, d, e, f } = setup();
    for (const each of [a, b, c, d]) await world.end(status(429), each);
    expect(world.gate.breaker).toBe("closed");
    await world.end(status(429), e);
    expect(world.gate).toMatchObject({ breaker: "open", blockedReason: FAILING });
    expect(await world.ask(f)).toMatchObject({ reason: FAILING, everybody: true });
  });

  it("halves what is sent at once, whoever drew it", async () => {
    const { world, a } = setup(8);
    await world.end(status(429), a);
    expect(world.gate.throttle.concurrency).toBe(4);
  });
});

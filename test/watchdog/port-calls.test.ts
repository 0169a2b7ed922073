import { describe, expect, it, vi } from "vitest";
import { StoreUnavailableError } from "../../src/watchdog/errors.ts";
import { patientStore, withProgress } from "../../src/watchdog/port-calls.ts";
import type { RunStore } from "../../src/watchdog/store-ports.ts";
import { settle } from "../support/memory/fake-clock.ts";
import { snapshot } from "../support/stands/snapshot.ts";
import { sweepWorld } from "../support/stands/sweep-world.ts";

const AWAY = new StoreUnavailableError("ECONNREFUSED");

describe("withProgress", () => {
  it("counts each call of store, journal and backend that comes to an end, whatever the end is", async () => {
    for (const [port, name] of calls()) {
      for (const fails of [false, true]) {
        const { ports, onProgress } = reporting();
        const answer = Promise.withResolvers<unknown>();
        const method = vi.fn(() => answer.promise);
        Object.assign(ports[port], { [name]: method });
        const call = Reflect.get(withProgress(ports, onProgress)[port], name)("one", 2);
        await settle();
        expect(onProgress, name).not.toHaveBeenCalled();
        if (fails) answer.reject(AWAY);
        else answer.resolve("answer");
        await (fails ? expect(call).rejects.toBe(AWAY) : expect(call).resolves.toBe("answer"));
        expect(onProgress, name).toHaveBeenCalledOnce();
        expect(method.mock.calls).toEqual([["one", 2]]);
      }
    }
  });

  it("leaves the rest of a backend as it is", () => {
    const { ports, onProgress } = reporting();
    const { backend } = withProgress(ports, onProgress);
    expect(backend).toMatchObject({ name: "scripted", cleans: true, needs: [] });
    expect(backend.pause).toBeUndefined();
    expect(backend.api).toBeUndefined();
    ports.backend.pauses();
    expect(withProgress(ports, onProgress).backend.pause).toBeDefined();
  });
});

/** Every method of the ports: the memory doubles have those and no others. */
function calls() {
  const { ports } = reporting();
  const methodsOf = (port: object) =>
    Object.getOwnPropertyNames(Object.getPrototypeOf(port)).filter(
      (name) => name !== "constructor",
    );
  const named = (port: "store" | "journal") =>
    methodsOf(ports[port]).map((name) => [port, name] as const);
  return [
    ...named("store"),
    ...named("journal"),
    ["backend", "verify"],
    ["backend", "cleanup"],
    ["backend", "pause"],
  ] as const;
}

function reporting() {
  const { store, journal, backend } = sweepWorld();
  return { ports: { store, journal, backend }, onProgress: vi.fn() };
}

describe("patientStore", () => {
  const reads = ["stalePage", "backlog", "read", "facts"] as const;
  for (const name of reads) {
    it(`tries ${name} again after 250 ms, 1 s and 3 s, and passes on the answer`, async () => {
      const { clock, call, times } = failing(name, 3);
      const answer = call();
      await settle();
      for (const [waitMs, expected] of [
        [249, 1],
        [1, 2],
        [999, 2],
        [1, 3],
        [2999, 3],
        [1, 4],
      ] as const) {
        await clock.advance(waitMs);
        expect(times()).toBe(expected);
      }
      await expect(answer).resolves.toBe("answer");
    });

    it(`gives up after the fourth failure of ${name}`, async () => {
      const { clock, call, times } = failing(name, 4);
      const failed = expect(call()).rejects.toBe(AWAY);
      await clock.advance(60_000);
      await failed;
      expect(times()).toBe(4);
    });

    it(`passes on any other failure of ${name} at once`, async () => {
      const bug = new TypeError("a bug");
      const { call, times } = failing(name, 1, bug);
      await expect(call()).rejects.toBe(bug);
      expect(times()).toBe(1);
    });

    it(`stops waiting for ${name} when the signal aborts`, async () => {
      const { clock, call, times, controller } = failing(name, 4);
      const reason = new Error("stopping");
      const failed = expect(call()).rejects.toBe(reason);
      await settle();
      controller.abort(reason);
      await failed;
      expect(times()).toBe(1);
      expect(clock.sleeping).toBe(0);
    });
  }

  it("tells of every try what kept Postgres from answering, or that it answered", async () => {
    const { clock, call, onTry } = failing("read", 2);
    const answer = call();
    await clock.advance(1_250);
    await answer;
    expect(onTry.mock.calls).toEqual([[AWAY], [AWAY], [null]]);
  });

  for (const name of ["apply", "defer"] as const) {
    it(`does not repeat ${name}, whose outcome is unknown`, async () => {
      const { clock, call, times } = failing(name, 1);
      const failed = expect(call()).rejects.toBe(AWAY);
      await clock.advance(60_000);
      await failed;
      expect(times()).toBe(1);
    });
  }
});

/** A store whose method fails so many times and then answers "answer". */
function failing(name: keyof RunStore, failures: number, error: Error = AWAY) {
  const { store, clock } = sweepWorld();
  const controller = new AbortController();
  const method = vi.fn(async () => {
    if (method.mock.calls.length <= failures) throw error;
    return "answer";
  });
  Object.assign(store, { [name]: method });
  const onTry = vi.fn();
  const patient = patientStore(store, clock, controller.signal, onTry);
  // The answers are made up, so the arguments may be, too.
  const call = patient[name] as (...args: readonly unknown[]) => Promise<unknown>;
  return {
    clock,
    controller,
    onTry,
    call: () => call(snapshot(), null, 1),
    times: () => method.mock.calls.length,
  };
}

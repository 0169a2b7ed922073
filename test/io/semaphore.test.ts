import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Semaphore } from "../../src/io/semaphore.ts";
import { settle } from "../support/fake-clock.ts";

const calm = new AbortController().signal;

describe("Semaphore", () => {
  it("runs as many at once as it has slots, in the order they came", async () => {
    const slots = new Semaphore(2);
    const work = [0, 1, 2, 3].map(() => ({
      began: Promise.withResolvers<void>(),
      end: Promise.withResolvers<void>(),
    }));
    const started: number[] = [];
    const done = work.map(({ began, end }, index) =>
      slots.run(async () => {
        started.push(index);
        began.resolve();
        await end.promise;
      }, calm),
    );
    await work[1]?.began.promise;
    expect(started).toEqual([0, 1]);

    work[1]?.end.resolve();
    await work[2]?.began.promise;
    expect(started).toEqual([0, 1, 2]);

    for (const { end } of work) end.resolve();
    await Promise.all(done);
    expect(started).toEqual([0, 1, 2, 3]);
  });

  it("frees the slot of work that fails", async () => {
    const slots = new Semaphore(1);
    const failure = new Error("work failed");
    await expect(slots.run(() => Promise.reject(failure), calm)).rejects.toBe(failure);
    await expect(slots.run(async () => "next", calm)).resolves.toBe("next");
  });

  it("lets an aborted waiter leave the queue at once, with its reason", async () => {
    const slots = new Semaphore(1);
    const release = await slots.acquire(calm);
    const controller = new AbortController();
    const waiting = slots.acquire(controller.signal);
    const behind = slots.acquire(calm);
    const reason = new Error("lease lost");
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    release();
    (await behind)();
  });

  it("refuses a signal that is aborted already, and keeps its slots", async () => {
    const slots = new Semaphore(1);
    const reason = new Error("stopping");
    await expect(slots.acquire(AbortSignal.abort(reason))).rejects.toBe(reason);
    (await slots.acquire(calm))();
  });

  it("frees a slot once, however often it is released", async () => {
    const slots = new Semaphore(1);
    const first = await slots.acquire(calm);
    first();
    first();
    const second = await slots.acquire(calm);
    const controller = new AbortController();
    const third = slots.acquire(controller.signal);
    controller.abort(new Error("still waiting"));
    await expect(third).rejects.toThrow("still waiting");
    second();
  });

  it("gives no slot away after its limit was lowered, until enough are free", async () => {
    const slots = new Semaphore(3);
    const releases = [
      await slots.acquire(calm),
      await slots.acquire(calm),
      await slots.acquire(calm),
    ];
    const next = queue(slots);
    slots.limit = 1;
    expect(slots.overfull).toBe(true);
    releases[0]?.();
    await settle();
    expect(slots.overfull).toBe(true);
    releases[1]?.();
    await settle();
    expect(slots.overfull).toBe(false);
    expect(next.admitted).toBe(false);
    releases[2]?.();
    await next.turn;
  });

  it("lets as many waiters go on as its limit was raised by, in their order", async () => {
    const slots = new Semaphore(1);
    await slots.acquire(calm);
    const waiting = [queue(slots), queue(slots), queue(slots)];
    slots.limit = 3;
    await settle();
    expect(waiting.map(({ admitted }) => admitted)).toEqual([true, true, false]);
  });

  it("keeps to its limit and strands nobody, whatever happens", async () => {
    const steps = fc.oneof(
      fc.constant("acquire" as const),
      fc.nat().map((which) => ({ release: which })),
      fc.nat().map((which) => ({ abort: which })),
      fc.integer({ min: 1, max: 4 }).map((limit) => ({ limit })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 60 }), async (script) => {
        const slots = new Semaphore(2);
        let waiting: ReturnType<typeof queue>[] = [];
        const held: (() => void)[] = [];
        for (const step of script) {
          if (step === "acquire") waiting.push(queue(slots));
          else if ("limit" in step) slots.limit = step.limit;
          else if ("abort" in step) waiting.at(step.abort % (waiting.length + 1))?.leave();
          else held.splice(step.release % (held.length + 1), 1)[0]?.();
          await settle();
          const admitted = waiting.flatMap(({ release }) => release ?? []);
          held.push(...admitted);
          waiting = waiting.filter(({ release, left }) => release === null && !left);
          if (admitted.length > 0) expect(held.length).toBeLessThanOrEqual(slots.limit);
          if (waiting.length > 0) expect(held.length).toBeGreaterThanOrEqual(slots.limit);
          expect(slots.overfull).toBe(held.length > slots.limit);
        }
      }),
    );
  });
});

/** Somebody who waits for a slot. */
function queue(slots: Semaphore) {
  const controller = new AbortController();
  const waiter = {
    release: null as (() => void) | null,
    left: false,
    get admitted() {
      return waiter.release !== null;
    },
    leave() {
      waiter.left = true;
      controller.abort(new Error("left"));
    },
    turn: slots.acquire(controller.signal).then(
      (release) => {
        waiter.release = release;
      },
      () => {},
    ),
  };
  return waiter;
}

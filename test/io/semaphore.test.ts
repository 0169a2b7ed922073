import { describe, expect, it } from "vitest";
import { Semaphore } from "../../src/io/semaphore.ts";

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
});

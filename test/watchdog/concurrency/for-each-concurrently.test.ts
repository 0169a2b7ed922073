import { getEventListeners } from "node:events";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { forEachConcurrently } from "../../../src/watchdog/concurrency/for-each-concurrently.ts";
import { settle } from "../../support/memory/fake-clock.ts";

describe("forEachConcurrently", () => {
  it("hands out every item once, in order", async () => {
    const taken: number[] = [];
    await forEachConcurrently(
      from([1, 2, 3, 4, 5]),
      2,
      async (item) => {
        taken.push(item);
      },
      NEVER,
    );
    expect(taken).toEqual([1, 2, 3, 4, 5]);
  });

  it("runs as many at once as it may, and not one more", async () => {
    const { tasks, running } = start(6, 3);
    await settle();
    expect(running()).toEqual([0, 1, 2]);
    for (const task of tasks) task.resolve();
  });

  it("takes the next item as soon as a slot is free, whichever it is", async () => {
    const { tasks, running, done } = start(6, 3);
    await settle();
    tasks[1]?.resolve();
    await settle();
    expect(running()).toEqual([0, 2, 3]);
    tasks[3]?.resolve();
    await settle();
    expect(running()).toEqual([0, 2, 4]);
    for (const task of tasks) task.resolve();
    await done;
  });

  it("does not end before the last task has", async () => {
    const { tasks, ended } = start(2, 3);
    tasks[0]?.resolve();
    await settle();
    expect(ended()).toBe(false);
    tasks[1]?.resolve();
    await settle();
    expect(ended()).toBe(true);
  });

  it("ends at once without items", async () => {
    await expect(forEachConcurrently(from([]), 3, async () => {}, NEVER)).resolves.toBeUndefined();
  });

  it("takes nothing more after the first failure, and awaits what is in flight", async () => {
    const { tasks, running, done, ended } = start(6, 3);
    await settle();
    const failed = expect(done).rejects.toBe(BROKEN);
    tasks[2]?.reject(BROKEN);
    await settle();
    expect(running()).toEqual([0, 1]);
    expect(ended()).toBe(false);
    tasks[0]?.resolve();
    tasks[1]?.resolve();
    await failed;
    expect(running()).toEqual([]);
  });

  it("passes on the failure that came first, not the one of the first slot", async () => {
    const { tasks, done } = start(3, 3);
    await settle();
    const failed = expect(done).rejects.toBe(BROKEN);
    tasks[2]?.reject(BROKEN);
    await settle();
    tasks[0]?.reject(new Error("later"));
    tasks[1]?.resolve();
    await failed;
  });

  it("aborts the tasks in flight when one fails, with its failure as the reason", async () => {
    const { tasks, signals, done } = start(3, 3);
    await settle();
    const failed = expect(done).rejects.toBe(BROKEN);
    tasks[1]?.reject(BROKEN);
    await settle();
    expect(signals[0]?.reason).toBe(BROKEN);
    for (const task of tasks) task.resolve();
    await failed;
  });

  it("has the tasks of each slot listen to a signal of their own", async () => {
    const { tasks, signals, controller, done } = start(4, 3);
    await settle();
    tasks[0]?.resolve();
    await settle();
    expect(new Set(signals).size).toBe(3);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
    for (const task of tasks) task.resolve();
    await done;
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });

  it("passes on an abort, takes nothing more, and awaits what is in flight", async () => {
    const { tasks, signals, running, controller, done, ended } = start(6, 3);
    await settle();
    const failed = expect(done).rejects.toBe(BROKEN);
    controller.abort(BROKEN);
    expect(signals[0]?.reason).toBe(BROKEN);
    tasks[0]?.resolve();
    await settle();
    expect(running()).toEqual([1, 2]);
    expect(ended()).toBe(false);
    for (const task of tasks) task.resolve();
    await failed;
  });

  it("takes nothing at all when it is aborted already", async () => {
    const { running, done } = start(3, 3, AbortSignal.abort(BROKEN));
    await expect(done).rejects.toBe(BROKEN);
    expect(running()).toEqual([]);
  });

  it("drops an item that the source was still fetching when the abort came", async () => {
    const controller = new AbortController();
    const page = Promise.withResolvers<void>();
    const taken: number[] = [];
    async function* slow() {
      await page.promise;
      yield 1;
    }
    const done = forEachConcurrently(
      slow(),
      1,
      async (item) => {
        taken.push(item);
      },
      controller.signal,
    );
    const failed = expect(done).rejects.toBe(BROKEN);
    controller.abort(BROKEN);
    page.resolve();
    await failed;
    expect(taken).toEqual([]);
  });

  it("passes on the source's failure, and awaits what is in flight", async () => {
    async function* failing() {
      yield 0;
      throw BROKEN;
    }
    const { tasks, running, done, ended } = start(failing(), 2);
    const failed = expect(done).rejects.toBe(BROKEN);
    await settle();
    expect(running()).toEqual([0]);
    expect(ended()).toBe(false);
    tasks[0]?.resolve();
    await failed;
  });

  it("closes its source when it is cut short", async () => {
    let closed = false;
    async function* closing() {
      try {
        yield 0;
        yield 1;
      } finally {
        closed = true;
      }
    }
    const { tasks, done } = start(closing(), 1);
    tasks[0]?.reject(BROKEN);
    await expect(done).rejects.toBe(BROKEN);
    expect(closed).toBe(true);
  });

  it("leaves no listener behind on a signal that lives longer", async () => {
    const { tasks, controller, done } = start(3, 2);
    for (const task of tasks) task.resolve();
    await done;
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  it("keeps to its limit, and takes everything, in whatever order tasks end", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 12 }),
        fc.scheduler(),
        async (limit, count, scheduler) => {
          let running = 0;
          const taken: number[] = [];
          const done = forEachConcurrently(
            from(Array.from({ length: count }, (_, index) => index)),
            limit,
            async (item) => {
              taken.push(item);
              running += 1;
              expect(running).toBeLessThanOrEqual(limit);
              await scheduler.schedule(Promise.resolve());
              running -= 1;
            },
            NEVER,
          );
          await scheduler.waitFor(done);
          expect(taken).toHaveLength(count);
        },
      ),
      { numRuns: 50 },
    );
  });
});

const NEVER = new AbortController().signal;
const BROKEN = new Error("broken");

async function* from<T>(items: readonly T[]) {
  yield* items;
}

/** Tasks that end when the test lets them; items are numbered from 0. */
function start(source: number | AsyncIterable<number>, limit: number, signal?: AbortSignal) {
  const count = typeof source === "number" ? source : 10;
  const numbers = Array.from({ length: count }, (_, index) => index);
  const tasks = numbers.map(() => Promise.withResolvers<void>());
  const signals: AbortSignal[] = [];
  const running = new Set<number>();
  const controller = new AbortController();
  let ended = false;
  const done = forEachConcurrently(
    typeof source === "number" ? from(numbers) : source,
    limit,
    async (item, taskSignal) => {
      running.add(item);
      signals.push(taskSignal);
      try {
        await tasks[item]?.promise;
      } finally {
        running.delete(item);
      }
    },
    signal ?? controller.signal,
  ).finally(() => {
    ended = true;
  });
  return { tasks, signals, controller, done, running: () => [...running], ended: () => ended };
}

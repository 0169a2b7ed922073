import { describe, expect, it } from "vitest";
import { SharedSlots } from "../../../src/watchdog/concurrency/shared-slots.ts";
import { settle } from "../../support/memory/fake-clock.ts";

describe("SharedSlots", () => {
  it("gives one party all slots while nobody else wants any, and no more than there are", async () => {
    const { slots, running, ask } = stand(3);
    for (let number = 0; number < 5; number += 1) ask(0);
    await settle();
    expect(running()).toEqual([0, 0, 0]);
    expect(slots.taken).toBe(3);
  });

  it("gives a free slot to the party that has fewest, however many others have waited for longer", async () => {
    const { running, ask, endOne } = stand(4);
    for (let number = 0; number < 10; number += 1) ask(0);
    for (let number = 0; number < 3; number += 1) ask(1);
    ask(2);
    for (let ended = 0; ended < 3; ended += 1) {
      endOne(0);
      await settle();
    }
    expect(running().toSorted()).toEqual([0, 0, 1, 2]);
  });

  it("keeps nobody who has to stop waiting for a slot that others have", async () => {
    const { slots, running, ask, endOne } = stand(1);
    ask(0);
    const stop = new AbortController();
    const stopped = slots.run(1, async () => "done", stop.signal);
    ask(2);
    stop.abort(new Error("stopped"));
    await expect(stopped).rejects.toThrow("stopped");
    await expect(slots.run(1, async () => "done", stop.signal)).rejects.toThrow("stopped");
    endOne(0);
    await settle();
    expect(running()).toEqual([2]);
    endOne(2);
    await settle();
    expect(slots.taken).toBe(0);
  });

  it("goes on after work that failed, and takes all back in the end", async () => {
    const { slots } = stand(1);
    const failing = slots.run(
      0,
      async () => {
        throw new Error("no");
      },
      NEVER,
    );
    const after = slots.run(1, async () => "done", NEVER);
    await expect(failing).rejects.toThrow("no");
    expect(await after).toBe("done");
    expect(slots.taken).toBe(0);
  });
});

const NEVER = new AbortController().signal;

function stand(limit: number) {
  const slots = new SharedSlots(limit);
  const working: { readonly party: number; readonly end: () => void }[] = [];
  return {
    slots,
    running: () => working.map(({ party }) => party),
    ask(party: number): void {
      void slots.run(
        party,
        async () => {
          const { promise, resolve } = Promise.withResolvers<void>();
          const work = { party, end: resolve };
          working.push(work);
          await promise;
          working.splice(working.indexOf(work), 1);
        },
        NEVER,
      );
    },
    endOne(party: number): void {
      working.find((work) => work.party === party)?.end();
    },
  };
}

import { describe, expect, it, vi } from "vitest";
import { observation } from "../../../src/rules/suspicion.ts";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { dryStore, patientStore } from "../../../src/watchdog/lead/patient-store.ts";
import type { RunStore } from "../../../src/watchdog/store-ports.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { snapshot } from "../../support/stands/snapshot.ts";
import { openFence, sweepWorld } from "../../support/stands/sweep-world.ts";

const AWAY = new StoreUnavailableError("ECONNREFUSED");

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

describe("dryStore", () => {
  it("reads what is there and writes nothing, with a success for every write", async () => {
    const { store, db } = sweepWorld();
    const row = db.add();
    const before = structuredClone(db.runs);
    const dry = dryStore(store);
    const horizon = { text: db.nowText(), ms: db.nowMs() };
    const query = { horizon, nullDeadlineAfterMs: 1000, includeSuspected: false };
    const fence = openFence(db);

    expect((await dry.backlog(query)).count).toBe(1);
    expect((await dry.stalePage(query, null, 10)).ids).toEqual([row.id]);
    const run = await dry.read(row.id, query);
    if (run === null) throw new Error("the run is there");
    expect((await dry.facts(run, fence.epoch)).rowMatches).toBe(true);
    const suspicion = observation(null, "sandbox missing", 1000);
    const deferral = {
      run,
      deferMs: 1000,
      shieldMs: 0,
      notAfterMs: null,
      statusDetail: null,
      suspicion,
    };
    expect(await dry.defer(deferral, fence)).toEqual({ kind: "written" });
    const verdict = { kind: "complete", basis: "proof", reason: "exit_code=0" } as const;
    const ending = {
      run,
      verdict,
      evidence: {},
      holder: "h",
      trigger: "once",
      cleanupInMs: 0,
      deletionInMs: null,
      overrideReason: null,
    } as const;
    expect(await dry.apply(ending, fence)).toEqual({ kind: "written" });
    await dry.deferSkipped([run.id], query, { deferMs: 1000, shieldMs: 0 }, fence);
    await dry.noteError({ runId: run.id, cause: "a constraint", retryInMs: 1000 }, fence);
    await dry.dropSuspicions(fence);
    expect(db.suspicions.size).toBe(0);
    expect(db.runs).toEqual(before);
    expect(db.verdicts).toEqual([]);
  });
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

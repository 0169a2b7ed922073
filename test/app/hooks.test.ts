import { describe, expect, it, vi } from "vitest";
import { harmless } from "../../src/app/hooks.ts";
import type { RunOutcome } from "../../src/rules/report.ts";
import { recordedLog } from "../support/memory/recorded-log.ts";

const OUTCOME: RunOutcome = {
  runId: "run-1",
  action: "completed",
  basis: "proof",
  reason: "exit_code=0",
  verifyMs: 1,
};
const MOST = 10_000;

describe("harmless", () => {
  it("passes on what a hook is told, with the object it belongs to", () => {
    const host = {
      told: [] as unknown[],
      onOutcome(outcome: RunOutcome) {
        this.told.push(outcome);
      },
      onHold(reason: string) {
        this.told.push(reason);
      },
    };
    const hooks = harmless(host, recordedLog().log);
    hooks.onOutcome?.(OUTCOME);
    hooks.onHold?.("no control run was alive");
    expect(host.told).toEqual([OUTCOME, "no control run was alive"]);
    expect(hooks).not.toHaveProperty("onSweep");
  });

  it("gives a hook a copy that it may change", () => {
    const changed = vi.fn((outcome: RunOutcome) => Object.assign(outcome, { action: "failed" }));
    harmless({ onOutcome: changed }, recordedLog().log).onOutcome?.(OUTCOME);
    expect(changed.mock.results).toMatchObject([{ value: { action: "failed" } }]);
    expect(OUTCOME.action).toBe("completed");
  });

  const boom = new TypeError("boom");
  const failing: readonly (readonly [how: string, hook: () => unknown])[] = [
    ["throws", () => thrown(boom)],
    ["rejects", () => Promise.reject(boom)],
    ["answers with something whose then throws", () => thenable(() => thrown(boom))],
    [
      "answers with something that calls back with an error",
      () => thenable((_, reject) => reject(boom)),
    ],
  ];
  for (const [how, hook] of failing) {
    it(`logs once of each hook that it ${how}, and goes on calling it`, async () => {
      const { log, entries } = recordedLog();
      const onOutcome = vi.fn(hook);
      const onHold = vi.fn(hook);
      const hooks = harmless({ onOutcome, onHold }, log);
      for (let call = 0; call < 3; call += 1) {
        hooks.onOutcome?.(OUTCOME);
        hooks.onHold?.("why");
      }
      await new Promise(setImmediate);
      expect(onOutcome).toHaveBeenCalledTimes(3);
      expect(onHold).toHaveBeenCalledTimes(3);
      const message = "a hook failed, the work goes on";
      expect(entries).toEqual([
        { level: "error", message, fields: { hook: "onOutcome", err: boom } },
        { level: "error", message, fields: { hook: "onHold", err: boom } },
      ]);
    });
  }

  it("says that a hook is no function", () => {
    const { log, entries } = recordedLog();
    // As a host without types may write it.
    const wrong = { onHold: "log it" } as unknown as Parameters<typeof harmless>[0];
    harmless(wrong, log).onHold?.("why");
    expect(entries).toMatchObject([{ level: "error", fields: { hook: "onHold" } }]);
  });

  it("leaves out the calls of a hook that has 10,000 without an end, and says so once", async () => {
    const { log, entries } = recordedLog();
    const waiting: (() => void)[] = [];
    const onHold = vi.fn(() => new Promise<void>((resolve) => waiting.push(resolve)));
    const onOutcome = vi.fn();
    const hooks = harmless({ onHold, onOutcome }, log);
    for (let call = 0; call < MOST; call += 1) hooks.onHold?.("why");
    expect(onHold).toHaveBeenCalledTimes(MOST);
    expect(entries).toEqual([]);

    hooks.onHold?.("why");
    hooks.onHold?.("why");
    hooks.onOutcome?.(OUTCOME);
    expect(onHold).toHaveBeenCalledTimes(MOST);
    expect(onOutcome).toHaveBeenCalledOnce();
    expect(entries).toMatchObject([
      {
        level: "error",
        message: "a hook does not come to an end, calls are left out",
        fields: { hook: "onHold", pending: MOST },
      },
    ]);

    waiting[0]?.();
    await new Promise(setImmediate);
    hooks.onHold?.("why");
    expect(onHold).toHaveBeenCalledTimes(MOST + 1);
  });

  it("leaves out no call of a hook that ends at once", () => {
    const { log, entries } = recordedLog();
    const onOutcome = vi.fn();
    const hooks = harmless({ onOutcome }, log);
    for (let call = 0; call <= MOST; call += 1) hooks.onOutcome?.(OUTCOME);
    expect(onOutcome).toHaveBeenCalledTimes(MOST + 1);
    expect(entries).toEqual([]);
  });
});

type Then = (resolve: unknown, reject: (error: unknown) => void) => void;

/** Not a promise, but a value that a promise follows. */
function thenable(then: Then): unknown {
  const name = "then";
  return { [name]: then };
}

function thrown(error: Error): never {
  throw error;
}

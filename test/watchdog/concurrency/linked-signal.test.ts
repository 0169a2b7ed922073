import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { LinkedController } from "../../../src/watchdog/concurrency/linked-signal.ts";

const REASON = new Error("stopping");

describe("LinkedController", () => {
  it("follows its parent's abort, with the parent's reason", () => {
    const parent = new AbortController();
    using scope = new LinkedController(parent.signal);
    expect(scope.signal.aborted).toBe(false);
    parent.abort(REASON);
    expect(scope.signal.reason).toBe(REASON);
  });

  it("is aborted from the start when its parent is", () => {
    using scope = new LinkedController(AbortSignal.abort(REASON));
    expect(scope.signal.reason).toBe(REASON);
  });

  it("aborts by itself and leaves its parent alone", () => {
    const parent = new AbortController();
    using scope = new LinkedController(parent.signal);
    scope.abort(REASON);
    expect(scope.signal.reason).toBe(REASON);
    expect(parent.signal.aborted).toBe(false);
  });

  it("keeps the reason that came first", () => {
    const parent = new AbortController();
    using scope = new LinkedController(parent.signal);
    scope.abort(REASON);
    scope.abort(new Error("second"));
    parent.abort(new Error("third"));
    expect(scope.signal.reason).toBe(REASON);
  });

  it("follows no more, and leaves no listener behind, when it is disposed", () => {
    const parent = new AbortController();
    const scope = new LinkedController(parent.signal);
    expect(getEventListeners(parent.signal, "abort")).toHaveLength(1);
    scope[Symbol.dispose]();
    expect(getEventListeners(parent.signal, "abort")).toEqual([]);
    parent.abort(REASON);
    expect(scope.signal.aborted).toBe(false);
  });
});

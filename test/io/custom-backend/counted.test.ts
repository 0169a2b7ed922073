import { describe, expect, it } from "vitest";
import { customBackend } from "../../../src/io/custom-backend/custom-backend.ts";
import type { ObservedCall } from "../../../src/io/http/observed.ts";
import type { Backend } from "../../../src/watchdog/ports.ts";
import { FakeClock, settle } from "../../support/memory/fake-clock.ts";
import { silentLog } from "../../support/world/world.ts";
import { calm, runOf } from "../http/world.ts";

const TARGET = { sandboxId: "s", userId: null, orgId: null };
const OUTPUT = { stdout: "", stderr: "" };

const failure = (kind: string, statusCode: number | null = null) => ({
  source: "their_api",
  operation: "ask about one tenant",
  kind,
  statusCode,
  message: "m",
  retryAfterMs: null,
});

const answers: readonly (readonly [result: string, answer: unknown])[] = [
  ["ok", { kind: "exited", exitCode: 1, ...OUTPUT }],
  ["ok", { kind: "running", output: "none" }],
  ["ok", { kind: "gone", reason: "missing" }],
  ["timeout", { kind: "unreachable", failure: failure("timeout") }],
  ["rate_limited", { kind: "unreachable", failure: failure("rate_limited", 429) }],
  ["server_error", { kind: "unreachable", failure: failure("server_error", 503) }],
  ["transport", { kind: "unreachable", failure: failure("transport") }],
  ["unauthorized", { kind: "unreachable", failure: failure("unknown", 401) }],
  ["not_found", { kind: "malformed", failure: failure("unknown", 404) }],
  ["other_status", { kind: "malformed", failure: failure("unknown", 301) }],
  ["malformed", { kind: "malformed", failure: failure("unknown", 200) }],
  ["malformed", { kind: "malformed", failure: failure("unknown") }],
  ["malformed", { kind: "a shape of its own" }],
];

const endings: readonly (readonly [result: string, answer: unknown])[] = [
  ["not_found", { kind: "absent", failure: "404" }],
  ["failed", { kind: "failed", failure: "503", retryAfterMs: null }],
  ["failed", undefined],
];

describe("a question to a backend of somebody else's", () => {
  for (const [result, answer] of answers) {
    it(`is counted as ${result} for ${JSON.stringify(answer)}, under a source of ours`, async () => {
      const { backend, calls } = setup({ verify: async () => answer });
      await backend.verify(runOf(), calm());
      expect(calls).toEqual([{ source: "backend", operation: "verify", result, durationMs: 0 }]);
    });
  }

  for (const operation of ["cleanup", "pause"] as const) {
    const done = { kind: operation === "cleanup" ? "deleted" : "paused" };
    for (const [result, answer] of [["ok", done], ...endings] as const) {
      it(`is counted as ${result} when a ${operation} comes to ${JSON.stringify(answer)}`, async () => {
        const { backend, calls } = setup({ [operation]: async () => answer });
        await backend[operation]?.(TARGET, calm());
        expect(calls).toEqual([{ source: "backend", operation, result, durationMs: 0 }]);
      });
    }
  }

  it("is counted with the time that it took", async () => {
    const { backend, calls, clock } = setup({
      verify: async () => {
        await clock.advance(250);
        return { kind: "starting" };
      },
    });
    await backend.verify(runOf(), calm());
    expect(calls).toMatchObject([{ durationMs: 250 }]);
  });

  it("is counted as a timeout at its deadline", async () => {
    const { backend, calls, clock } = setup({ verify: () => new Promise(() => {}) });
    const asked = backend.verify(runOf(), calm());
    await settle();
    await clock.advance(30_000);
    await asked;
    expect(calls).toMatchObject([{ result: "timeout", durationMs: 30_000 }]);
  });

  it("is counted as failed when it rejects, and when it throws", async () => {
    const boom = () => {
      throw new TypeError("boom");
    };
    const { backend, calls } = setup({ verify: async () => boom(), cleanup: boom, pause: boom });
    await expect(backend.verify(runOf(), calm())).rejects.toThrow("boom");
    await expect(backend.cleanup(TARGET, calm())).rejects.toThrow("boom");
    await expect(backend.pause?.(TARGET, calm())).rejects.toThrow("boom");
    expect(calls.map(({ result }) => result)).toEqual(["failed", "failed", "failed"]);
  });

  it("is not counted when nothing was asked, and when it was given up", async () => {
    const closed = { kind: "not-asked", reason: "closed", retryAfterMs: 7000 };
    const { backend, calls } = setup({ verify: async () => closed, cleanup: async () => closed });
    await backend.verify(runOf(), calm());
    await backend.cleanup(TARGET, calm());
    const stop = new AbortController();
    const stuck = setup({ verify: () => new Promise(() => {}) });
    const asked = stuck.backend.verify(runOf(), stop.signal);
    stop.abort(new Error("stopping"));
    await expect(asked).rejects.toThrow("stopping");
    expect([...calls, ...stuck.calls]).toEqual([]);
  });
});

/** Somebody else's backend, written without types. */
function setup(parts: object) {
  const clock = new FakeClock();
  const calls: ObservedCall[] = [];
  const own = { name: "theirs", cleans: true, ...parts } as Backend;
  const onCall = (call: ObservedCall) => void calls.push(call);
  const options = { log: silentLog, clock, verifyTimeoutMs: 30_000, onCall };
  return { backend: customBackend(own, options), calls, clock };
}

import { describe, expect, it, vi } from "vitest";
import { customBackend } from "../../../src/io/custom-backend/custom-backend.ts";
import type { Evidence, GoneReason } from "../../../src/rules/model.ts";
import type { Backend, CleanupResult } from "../../../src/watchdog/ports.ts";
import { silentLog } from "../../support/world/world.ts";
import { calm, clock, runOf } from "../http/world.ts";

const TARGET = { sandboxId: "s", userId: null, orgId: null };
const OUTPUT = { stdout: "out", stderr: "err" };
const FAILURE = {
  source: "their_api",
  operation: "ask",
  kind: "server_error",
  statusCode: 503,
  message: "their_api ask returned HTTP 503",
  retryAfterMs: 1000,
} as const;

/** Somebody else's backend, written without types. */
function custom(parts: object, verifyTimeoutMs = 600_000): Backend {
  const backend = { name: "theirs", cleans: true, ...parts } as Backend;
  return customBackend(backend, { log: silentLog, clock, verifyTimeoutMs });
}

function verifySaying(answer: unknown): Promise<Evidence> {
  return custom({ verify: async () => answer }).verify(runOf(), calm());
}

function failure(what: string, kind: string) {
  return {
    source: "backend",
    operation: "verify",
    kind,
    statusCode: null,
    message: `backend verify ${what}`,
    retryAfterMs: null,
  };
}

const REASONS: Readonly<Record<GoneReason, true>> = {
  "no-record": true,
  missing: true,
  paused: true,
  error: true,
  "no-agent-server": true,
  "no-sandbox-id": true,
  "command-unknown": true,
  "server-restarted": true,
};

const proper: readonly Evidence[] = [
  { kind: "exited", exitCode: 0, ...OUTPUT },
  { kind: "exited", exitCode: -1, stdout: "", stderr: "" },
  { kind: "exited", exitCode: 3_221_225_477, ...OUTPUT },
  { kind: "failed", detail: "no space left", ...OUTPUT },
  { kind: "running", output: "none" },
  { kind: "running", output: "partial" },
  { kind: "starting" },
  ...(Object.keys(REASONS) as GoneReason[]).map((reason) => ({ kind: "gone" as const, reason })),
  { kind: "gone", reason: "lost", detail: "why" },
  { kind: "no-command", sandbox: "running" },
  { kind: "unreachable", failure: FAILURE },
  { kind: "malformed", failure: { ...FAILURE, statusCode: null, retryAfterMs: null } },
  { kind: "not-asked", reason: "closed on Sundays" },
];

/** Several of them would end a run if they were taken for what they resemble. */
const improper: readonly (readonly [name: string, answer: unknown])[] = [
  ["nothing", undefined],
  ["null", null],
  ["a text", "exited"],
  ["a list", []],
  ["no kind", { exitCode: 0, ...OUTPUT }],
  ["an unknown kind", { kind: "dead", ...OUTPUT }],
  ["no exit code", { kind: "exited", ...OUTPUT }],
  ["an exit code that is a text", { kind: "exited", exitCode: "0", ...OUTPUT }],
  ["an exit code of null", { kind: "exited", exitCode: null, ...OUTPUT }],
  ["an exit code that is no number", { kind: "exited", exitCode: Number.NaN, ...OUTPUT }],
  ["an exit code with a fraction", { kind: "exited", exitCode: 0.5, ...OUTPUT }],
  ["no output", { kind: "exited", exitCode: 0 }],
  ["an output that is no text", { kind: "exited", exitCode: 0, stdout: null, stderr: [] }],
  ["a failure without a detail", { kind: "failed", ...OUTPUT }],
  ["a running command of unknown output", { kind: "running" }],
  ["an unknown reason", { kind: "gone", reason: "bored", detail: "" }],
  ["a reason without a detail", { kind: "gone", reason: "lost" }],
  ["no failure", { kind: "unreachable" }],
  ["a failure of unknown kind", { kind: "malformed", failure: { ...FAILURE, kind: "odd" } }],
  ["a failure without a message", { kind: "malformed", failure: { ...FAILURE, message: null } }],
  ["no reason for not asking", { kind: "not-asked" }],
];

describe("customBackend.verify", () => {
  for (const evidence of proper) {
    it(`passes on ${JSON.stringify(evidence)}`, async () => {
      expect(await verifySaying(evidence)).toEqual(evidence);
    });
  }

  it("drops the detail of a reason that has words of its own", async () => {
    const answer = { kind: "gone", reason: "missing", detail: "why" };
    expect(await verifySaying(answer)).toEqual({ kind: "gone", reason: "missing" });
  });

  for (const [name, answer] of improper) {
    it(`cannot tell from ${name}`, async () => {
      const malformed = failure("answered with an unexpected shape", "unknown");
      expect(await verifySaying(answer)).toEqual({ kind: "malformed", failure: malformed });
    });
  }

  it("takes no command for no sign of life unless the sandbox is said to run", async () => {
    expect(await verifySaying({ kind: "no-command" })).toEqual({
      kind: "no-command",
      sandbox: "not-asked",
    });
  });

  it("passes on which ids a question needs, and none when nothing is said", () => {
    expect(custom({ needs: ["sandboxId"] }).needs).toEqual(["sandboxId"]);
    expect(custom({}).needs).toBeUndefined();
  });

  it("takes an answer that does not come as a promise", async () => {
    const backend = custom({ verify: () => ({ kind: "starting" }) });
    expect(await backend.verify(runOf(), calm())).toEqual({ kind: "starting" });
  });

  it("asks a backend that is an object of a class", async () => {
    class Theirs {
      readonly name = "theirs";
      readonly cleans = false;
      readonly #evidence: Evidence = { kind: "starting" };
      async verify() {
        return this.#evidence;
      }
      async cleanup(): Promise<CleanupResult> {
        return { kind: "absent", failure: this.#evidence.kind };
      }
    }
    const backend = customBackend(new Theirs(), { log: silentLog, clock, verifyTimeoutMs: 30_000 });
    expect(backend).toMatchObject({ name: "theirs", cleans: false });
    expect(await backend.verify(runOf(), calm())).toEqual({ kind: "starting" });
    expect(await backend.cleanup(TARGET, calm())).toEqual({ kind: "absent", failure: "starting" });
  });

  it("keeps what is stored short and fit for Postgres", async () => {
    const message = `\0${"x".repeat(2000)}\ud800`;
    const evidence = await verifySaying({ kind: "malformed", failure: { ...FAILURE, message } });
    expect(evidence).toMatchObject({ failure: { message: "x".repeat(1000) } });
  });

  it("leaves a question behind at its deadline that ignores its signal", async () => {
    const signals: AbortSignal[] = [];
    const verify = (_: unknown, signal: AbortSignal) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const evidence = await custom({ verify }, 20).verify(runOf(), calm());
    const timeout = failure("timed out: no answer within 20 ms", "timeout");
    expect(evidence).toEqual({ kind: "unreachable", failure: timeout });
    expect(signals).toMatchObject([{ aborted: true }]);
  });

  it("calls it a timeout as well when a question heeds its signal at the deadline", async () => {
    const verify = (_: unknown, signal: AbortSignal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(new Error("aborted by you")));
      });
    const evidence = await custom({ verify }, 20).verify(runOf(), calm());
    expect(evidence).toMatchObject({ kind: "unreachable", failure: { kind: "timeout" } });
  });

  it("ends with the reason of a signal that a question ignores", async () => {
    const controller = new AbortController();
    const asked = Promise.withResolvers<void>();
    const verify = () => {
      asked.resolve();
      return new Promise(() => {});
    };
    const question = custom({ verify }).verify(runOf(), controller.signal);
    await asked.promise;
    const reason = new Error("stopping");
    controller.abort(reason);
    await expect(question).rejects.toBe(reason);
  });

  it("asks nothing when its signal is aborted already", async () => {
    const reason = new Error("stopping");
    const verify = vi.fn(async () => ({ kind: "starting" }));
    const question = custom({ verify }).verify(runOf(), AbortSignal.abort(reason));
    await expect(question).rejects.toBe(reason);
    expect(verify).not.toHaveBeenCalled();
  });

  it("does not abort the signal of a question that was answered", async () => {
    const signals: AbortSignal[] = [];
    const verify = async (_: unknown, signal: AbortSignal) => {
      signals.push(signal);
      return { kind: "starting" };
    };
    const controller = new AbortController();
    await custom({ verify }).verify(runOf(), controller.signal);
    controller.abort(new Error("much later"));
    expect(signals).toMatchObject([{ aborted: false }]);
  });

  for (const [how, verify] of [
    ["rejects", async () => Promise.reject(new TypeError("boom"))],
    [
      "throws before it returns a promise",
      () => {
        throw new TypeError("boom");
      },
    ],
  ] as const) {
    it(`rejects when a question ${how}`, async () => {
      const question = custom({ verify }).verify(runOf(), calm());
      await expect(question).rejects.toThrow(new TypeError("boom"));
    });
  }
});

const properCleanups: readonly CleanupResult[] = [
  { kind: "deleted" },
  { kind: "absent", failure: "404" },
  { kind: "failed", failure: "503", retryAfterMs: null },
  { kind: "failed", failure: "429", retryAfterMs: 7000 },
  { kind: "not-asked", reason: "closed", retryAfterMs: 7000 },
];

describe("customBackend.cleanup", () => {
  for (const result of properCleanups) {
    it(`passes on ${JSON.stringify(result)}`, async () => {
      const backend = custom({ cleanup: async () => result });
      expect(await backend.cleanup(TARGET, calm())).toEqual(result);
    });
  }

  for (const answer of [
    undefined,
    null,
    true,
    { kind: "gone" },
    { kind: "absent" },
    { kind: "failed", failure: "429" },
    { kind: "failed", failure: "429", retryAfterMs: "7" },
    { kind: "not-asked", reason: "closed", retryAfterMs: Number.POSITIVE_INFINITY },
  ]) {
    it(`takes ${JSON.stringify(answer) ?? "nothing"} for a failure`, async () => {
      const backend = custom({ cleanup: async () => answer });
      expect(await backend.cleanup(TARGET, calm())).toEqual({
        kind: "failed",
        failure: "backend cleanup answered with an unexpected shape",
        retryAfterMs: null,
      });
    });
  }

  for (const [asked, obeyed] of [
    [-1, 0],
    [300_000, 300_000],
    [300_001, 300_000],
    [1e300, 300_000],
  ]) {
    it(`obeys a wish for a pause of ${asked} ms for ${obeyed} ms`, async () => {
      const result = { kind: "failed", failure: "429", retryAfterMs: asked };
      const backend = custom({ cleanup: async () => result });
      expect(await backend.cleanup(TARGET, calm())).toMatchObject({ retryAfterMs: obeyed });
    });
  }
});

describe("customBackend.pause", () => {
  it("is left out where the backend cannot pause", () => {
    expect(custom({})).not.toHaveProperty("pause");
  });

  it("passes on what the backend answers", async () => {
    const pause = vi.fn(async () => ({ kind: "paused" }));
    const { signal } = new AbortController();
    expect(await custom({ pause }).pause?.(TARGET, signal)).toEqual({ kind: "paused" });
    expect(pause).toHaveBeenCalledWith(TARGET, signal);
  });

  for (const answer of [undefined, { kind: "deleted" }, { kind: "failed" }]) {
    it(`takes ${JSON.stringify(answer) ?? "nothing"} for a failure`, async () => {
      const backend = custom({ pause: async () => answer });
      expect(await backend.pause?.(TARGET, calm())).toEqual({
        kind: "failed",
        failure: "backend pause answered with an unexpected shape",
        retryAfterMs: null,
      });
    });
  }
});

/**
 * A backend that somebody else wrote, held to the port's promises: every question ends within its time or with its
 * signal, and every answer is one that the port knows. A broken promise costs one run its answer and no more; above
 * all, nothing that merely looks like an exit code ends a run. A rejection stays one: it concerns that run, and its cause
 * is logged.
 */
import { z } from "zod";
import { type Evidence, GONE_REASONS, type RunSnapshot } from "../../rules/model.ts";
import { clean, tail } from "../../rules/text.ts";
import type {
  ApiThrottle,
  Backend,
  CleanupResult,
  CleanupTarget,
  Clock,
  Log,
  PauseResult,
  SharedApi,
} from "../../watchdog/ports.ts";
import { cleanupFailed, malformed, timedOut } from "../http/answer.ts";
import type { CallName } from "../http/call.ts";
import { DeadlineError, withDeadline } from "../http/deadline.ts";
import type { OnCall } from "../http/observed.ts";
import { LONGEST_PAUSE_MS } from "../http/response.ts";
import { counted, resultOfCleanup, resultOfEvidence } from "./counted.ts";

export interface CustomBackendOptions {
  readonly log: Log;
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  /** From the moment a question is asked, with whatever it waits for inside. */
  readonly verifyTimeoutMs: number;
  readonly onCall?: OnCall | undefined;
}

const VERIFY: CallName = { source: "backend", operation: "verify" };
const CLEANUP: CallName = { source: "backend", operation: "cleanup" };
const PAUSE: CallName = { source: "backend", operation: "pause" };

const SHAPE = "answered with an unexpected shape";

export function customBackend(backend: Backend, options: CustomBackendOptions): Backend {
  const { name, cleans, needs, api } = backend;
  return {
    name,
    cleans,
    ...(needs ? { needs } : {}),
    ...(api ? { api: customApi(api, options.log) } : {}),
    verify: (run, signal) =>
      counted(VERIFY, options, signal, resultOfEvidence, () =>
        verify(backend, options, run, signal),
      ),
    cleanup: (target, signal) =>
      counted(CLEANUP, options, signal, resultOfCleanup, () => cleanup(backend, target, signal)),
    ...(backend.pause && {
      pause: (target: CleanupTarget, signal: AbortSignal) =>
        counted(PAUSE, options, signal, resultOfCleanup, () => pause(backend, target, signal)),
    }),
  };
}

// The caller limits the time of a deletion or a pause.
async function cleanup(
  backend: Backend,
  target: CleanupTarget,
  signal: AbortSignal,
): Promise<CleanupResult> {
  const result = cleanupShape.safeParse(await backend.cleanup(target, signal));
  return result.success ? result.data : cleanupFailed(malformed(CLEANUP, SHAPE));
}

async function pause(
  backend: Backend,
  target: CleanupTarget,
  signal: AbortSignal,
): Promise<PauseResult> {
  const result = pauseShape.safeParse(await backend.pause?.(target, signal));
  return result.success ? result.data : cleanupFailed(malformed(PAUSE, SHAPE));
}

async function verify(
  backend: Backend,
  { verifyTimeoutMs, clock }: CustomBackendOptions,
  run: RunSnapshot,
  signal: AbortSignal,
): Promise<Evidence> {
  const ask = async (own: AbortSignal) => await backend.verify(run, own);
  try {
    const answer = evidenceShape.safeParse(await withDeadline(ask, verifyTimeoutMs, clock, signal));
    return answer.success ? answer.data : malformed(VERIFY, SHAPE);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof DeadlineError) return timedOut(VERIFY, "answer", verifyTimeoutMs);
    throw error;
  }
}

/** What it says of its shared API. What breaks the port's promises is ignored. */
export function customApi(api: SharedApi, log: Log): SharedApi {
  let said = false;
  function attempt<T>(work: () => T, otherwise: T): T {
    try {
      return work();
    } catch (error) {
      // It is read before every run.
      if (!said)
        log.error({ err: error }, "the custom backend's api gave an invalid value, it is ignored");
      said = true;
      return otherwise;
    }
  }
  return {
    get throttle() {
      return attempt(() => throttleShape.parse(api.throttle), UNTHROTTLED);
    },
    get breaker() {
      return attempt(() => breakerShape.parse(api.breaker), "closed");
    },
    get blockedReason() {
      return attempt(() => blockedReasonShape.parse(api.blockedReason), null);
    },
    get clock() {
      return attempt(() => clockShape.parse(api.clock ?? null), null);
    },
    restore: (throttle) => attempt(() => api.restore(throttle), undefined),
  };
}

/** No longer than the pause of any other API. */
const pauseMs = z.number().transform((ms) => Math.max(0, Math.min(ms, LONGEST_PAUSE_MS)));

const UNTHROTTLED: ApiThrottle = { pausedForMs: 0, concurrency: null };

const throttleShape = z.object({
  pausedForMs: pauseMs,
  concurrency: z.int32().positive().nullable(),
});
const breakerShape = z.enum(["closed", "half-open", "open"]);
const clockShape = z
  .object({
    theirMs: z.number(),
    sentMs: z.number(),
    receivedMs: z.number(),
    precisionMs: z.number(),
  })
  .nullable();
const blockedReasonShape = z.string().nullable();

/** For journal, report and status_detail. */
const shortText = z.string().transform((text) => tail(clean(text), 1000));

const output = { stdout: z.string(), stderr: z.string() };

const failure = z.object({
  source: shortText,
  operation: shortText,
  kind: z.enum(["rate_limited", "timeout", "transport", "server_error", "unknown"]),
  statusCode: z.int32().nullable(),
  message: shortText,
  retryAfterMs: pauseMs.nullable(),
});

const evidenceShape: z.ZodType<Evidence> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("exited"), exitCode: z.int(), ...output }),
  z.object({ kind: z.literal("failed"), detail: z.string(), ...output }),
  z.object({ kind: z.literal("running"), output: z.enum(["none", "partial"]) }),
  z.object({ kind: z.literal("starting") }),
  z.discriminatedUnion("reason", [
    z.object({ kind: z.literal("gone"), reason: z.enum(GONE_REASONS) }),
    z.object({ kind: z.literal("gone"), reason: z.literal("lost"), detail: z.string() }),
  ]),
  // An answer that does not mention the sandbox does not prove that it runs.
  z.object({
    kind: z.literal("no-command"),
    sandbox: z.enum(["running", "not-asked"]).default("not-asked"),
  }),
  z.object({ kind: z.literal("unreachable"), failure }),
  z.object({ kind: z.literal("malformed"), failure }),
  z.object({ kind: z.literal("not-asked"), reason: shortText }),
]);

const unsettled = [
  z.object({ kind: z.literal("not-asked"), reason: shortText, retryAfterMs: pauseMs }),
  z.object({ kind: z.literal("absent"), failure: shortText }),
  z.object({
    kind: z.literal("failed"),
    failure: shortText,
    retryAfterMs: pauseMs.nullable(),
  }),
] as const;

const cleanupShape: z.ZodType<CleanupResult> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("deleted") }),
  ...unsettled,
]);

const pauseShape: z.ZodType<PauseResult> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("paused") }),
  ...unsettled,
]);

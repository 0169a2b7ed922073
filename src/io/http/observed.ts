import { clockSkewMs } from "../../rules/clock-skew.ts";
import type { Failure } from "../../rules/model.ts";
import type { Clock } from "../../watchdog/ports.ts";
import type { HttpAnswer } from "./answer.ts";
import type { HttpCall } from "./call.ts";
import type { HttpClient } from "./client.ts";

export type CallResult =
  | "ok"
  | "not_found"
  | "unauthorized"
  | "other_status"
  | "malformed"
  | Exclude<Failure["kind"], "unknown">;

/** One call that was answered, or failed. */
export interface ObservedCall extends Pick<HttpCall, "source" | "operation"> {
  readonly result: CallResult;
  readonly durationMs: number;
  /** The other side's clock against ours, at least; `null` when it did not tell its time. */
  readonly clockSkewMs: number | null;
}

/** Told of every call that came to an end by itself. Must not throw. */
export type OnCall = (call: ObservedCall) => void;

/** A client whose calls are observed. */
export function observed(
  http: Pick<HttpClient, "request">,
  clock: Pick<Clock, "now" | "monotonicMs">,
  onCall: OnCall,
): Pick<HttpClient, "request"> {
  return {
    async request(call, budget, signal) {
      const askedAtMs = clock.now().getTime();
      const sentMs = clock.monotonicMs();
      const answer = await http.request(call, budget, signal);
      const { source, operation } = call;
      onCall({
        source,
        operation,
        result: resultOf(answer),
        durationMs: clock.monotonicMs() - sentMs,
        clockSkewMs: skewOf(answer, askedAtMs, clock.now().getTime()),
      });
      return answer;
    },
  };
}

function resultOf(answer: HttpAnswer): CallResult {
  switch (answer.kind) {
    case "json":
    case "status":
      return resultOfStatus(answer.status);
    case "unreachable":
    case "malformed": {
      const { kind } = answer.failure;
      return kind === "unknown" ? "malformed" : kind;
    }
  }
}

function resultOfStatus(status: number): CallResult {
  if (status < 300) return "ok";
  if (status === 401 || status === 403) return "unauthorized";
  if (status === 404) return "not_found";
  if (status === 408) return "timeout";
  if (status === 429) return "rate_limited";
  return status >= 500 ? "server_error" : "other_status";
}

/** A Date header tells whole seconds. */
const DATE_RESOLUTION_MS = 1000;

function skewOf(answer: HttpAnswer, askedAtMs: number, answeredAtMs: number): number | null {
  if (answer.kind !== "json" || answer.dateMs === null) return null;
  return clockSkewMs(askedAtMs, answeredAtMs, answer.dateMs, DATE_RESOLUTION_MS);
}

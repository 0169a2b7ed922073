import type { Failure } from "../../rules/model.ts";
import type { Clock } from "../../watchdog/ports.ts";
import type { HttpAnswer } from "./answer.ts";
import type { CallName } from "./call.ts";
import type { HttpClient } from "./client.ts";

export type CallResult =
  | "ok"
  | "not_found"
  | "unauthorized"
  | "other_status"
  | "malformed"
  /** A backend of somebody else's says no more of it. */
  | "failed"
  | Exclude<Failure["kind"], "unknown">;

/** One call that was answered, or failed. */
export interface ObservedCall extends CallName {
  readonly result: CallResult;
  readonly durationMs: number;
}

/** Told of every call that came to an end by itself. Must not throw. */
export type OnCall = (call: ObservedCall) => void;

/** A client whose calls are observed. */
export function observed(
  http: Pick<HttpClient, "request">,
  clock: Pick<Clock, "monotonicMs">,
  onCall: OnCall,
): Pick<HttpClient, "request"> {
  return {
    async request(call, budget, signal) {
      const sentMs = clock.monotonicMs();
      const answer = await http.request(call, budget, signal);
      const { source, operation } = call;
      onCall({
        source,
        operation,
        result: resultOf(answer),
        durationMs: clock.monotonicMs() - sentMs,
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
    case "malformed":
      return resultOfFailure(answer.failure);
  }
}

/** Of one that was not sent as HTTP as well: what is known of it is in its kind, then in its status. */
export function resultOfFailure({ kind, statusCode }: Failure): CallResult {
  if (kind !== "unknown") return kind;
  return statusCode === null || statusCode < 300 ? "malformed" : resultOfStatus(statusCode);
}

function resultOfStatus(status: number): CallResult {
  if (status < 300) return "ok";
  if (status === 401 || status === 403) return "unauthorized";
  if (status === 404) return "not_found";
  if (status === 408) return "timeout";
  if (status === 429) return "rate_limited";
  return status >= 500 ? "server_error" : "other_status";
}

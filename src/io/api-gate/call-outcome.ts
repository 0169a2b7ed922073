import type { CallBudget } from "../http/call-budget.ts";
import { cannotTell, type HttpAnswer, type HttpCall } from "../http/client.ts";
import type { Circuit } from "./circuit.ts";

/** What an answer says about the API that gave it. `none`: nothing, neither that it is well nor that it is not. */
export type Outcome = "success" | "rate-limited" | "failure" | "none";

/** A call, and which of its answers are what was asked for. */
export interface GatedCall extends HttpCall {
  /** The one of the credential it is made with; left out when that is everybody's. */
  readonly credential?: Circuit;
  /** By default JSON, or a status below 300. */
  readonly isUsable?: (answer: HttpAnswer) => boolean;
}

/** @param fair whether the call had time enough for its timeout to count. */
export function outcomeOf(call: GatedCall, answer: HttpAnswer, fair: boolean): Outcome {
  const isUsable = call.isUsable ?? isAnswer;
  if (isUsable(answer)) return "success";
  // What is wrong with one question or its answer, or with a credential, is no fault of the API.
  const { kind } = cannotTell(call, answer).failure;
  if (kind === "unknown") return "none";
  if (kind === "rate_limited") return "rate-limited";
  return answer.kind === "unreachable" && kind === "timeout" && !fair ? "none" : "failure";
}

/** After a slow agent server little may be left of a verification's time, and running out of it proves nothing. */
export function isFair(budget: CallBudget): boolean {
  return budget.leftMs >= budget.totalMs / 2;
}

function isAnswer(answer: HttpAnswer): boolean {
  return answer.kind === "json" || (answer.kind === "status" && answer.status < 300);
}

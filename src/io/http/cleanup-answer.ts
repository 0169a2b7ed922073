import type { CleanupResult } from "../../watchdog/ports.ts";
import { type Answer, cannotTell } from "./client.ts";
import { type CallName, cleanupFailed } from "./failure.ts";

/** Whether the API did what a DELETE or a pause asks of it, found there or not. */
export function isCleanupAnswer(answer: Answer): boolean {
  return answer.kind === "status" && (answer.status < 300 || answer.status === 404);
}

/** What the answer to a DELETE says. 404 is no success: app servers also answer it when their own deletion broke off. */
export function readCleanup(call: CallName, answer: Answer): CleanupResult {
  if (answer.kind === "status" && answer.status < 300) return { kind: "deleted" };
  if (answer.kind === "not-asked") return answer;
  const told = cannotTell(call, answer);
  if (answer.kind !== "status" || answer.status !== 404) return cleanupFailed(told);
  return { kind: "absent", failure: told.failure.message };
}

import { abortable } from "../io/http/deadline.ts";

/**
 * For commands that only read: a signal ends them at once, whoever they wait for, because nothing of theirs has to come
 * to an end. What a server still does for them is cancelled when its connection is closed.
 *
 * @throws what `work` is rejected with, or `signal.reason`.
 */
export function untilStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return abortable(work, signal);
}

import { withFirstRun } from "../../rules/cleanup/first-run.ts";
import { isolated } from "../errors.ts";
import type { Fence, Log } from "../ports.ts";
import type { FirstRunTask, Journal } from "../store-ports.ts";

export interface FirstRunDeps {
  readonly journal: Journal;
  readonly log: Log;
}

/**
 * Records the first outcomes that are due, once over all automations. What changed meanwhile stays open.
 *
 * @param presumedForMs how old a presumption has to be to count as an outcome; a late callback may overturn a younger one.
 * @throws what the journal or the fence throws, or `signal.reason`.
 */
export async function recordFirstRuns(
  deps: FirstRunDeps,
  presumedForMs: number,
  fence: Fence,
  signal: AbortSignal,
): Promise<void> {
  let after: string | null = null;
  while (true) {
    signal.throwIfAborted();
    const tasks = await deps.journal.openFirstRuns(after, PAGE, presumedForMs);
    for (const task of tasks) {
      signal.throwIfAborted();
      const { automationId } = task;
      await isolated(
        () => record(deps, task, fence),
        (err) => deps.log.error({ err, automationId }, "work after a verdict failed"),
        signal,
      );
      after = automationId;
    }
    if (tasks.length < PAGE) return;
  }
}

const PAGE = 50;

async function record({ journal }: FirstRunDeps, task: FirstRunTask, fence: Fence): Promise<void> {
  const { metadata, outcome, readAt, automationId } = task;
  const marked = metadata === null ? null : withFirstRun(metadata, outcome, readAt);
  // Changed or overturned meanwhile, or locked by a writer: the next pass reads it again.
  const recorded = marked === null || (await journal.recordFirstRun(task, marked, fence));
  if (recorded) await journal.firstRunDone(automationId, fence);
}

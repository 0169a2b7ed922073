import type { RunSnapshot } from "../../rules/model.ts";
import { FencedError, StoreUnavailableError } from "../errors.ts";
import type { Fence } from "../ports.ts";
import type { RunStore, WriteFacts, WriteResult } from "../store-ports.ts";

export type ResolvedWrite =
  | { readonly kind: "written" }
  | { readonly kind: "lost-race" }
  | { readonly kind: "busy" }
  | { readonly kind: "error"; readonly cause: string };

/**
 * Makes one guarded write and finds out what became of it.
 *
 * A write that returned no row, or whose acknowledgement was lost, is explained by asking, in this order: did we do it
 * (the journal knows), has a newer epoch been handed out, did the row change, or was the write swallowed. A write that
 * got lost with its connection is made once more if the row still is as it was: the guard makes that safe. One that is
 * late twice, while the database answers questions about it, is this run's own trouble: something in the host's tables
 * holds it up, and the other runs need not wait for that.
 *
 * @param journaled whether the write leaves a journal row, by which it can be recognised.
 * @throws FencedError; StoreUnavailableError when the outcome cannot be found out; what the fence's check throws.
 */
export async function resolveWrite(
  store: RunStore,
  run: RunSnapshot,
  fence: Fence,
  journaled: boolean,
  write: () => Promise<WriteResult>,
): Promise<ResolvedWrite> {
  let result = await attempt(write);
  if (result.kind === "unknown") {
    const answer = explain(await store.facts(run, fence.epoch), journaled);
    if (answer.kind !== "unchanged") return answer;
    result = await attempt(write);
    if (result.kind === "unknown" && !result.failure.late) throw result.failure;
  }
  if (result.kind !== "none" && result.kind !== "unknown") return asResolved(result);

  // Also after the second attempt: the first one may have arrived late, and then it was ours.
  const answer = explain(await store.facts(run, fence.epoch), journaled);
  if (answer.kind !== "unchanged") return answer;
  return { kind: "error", cause: result.kind === "none" ? NO_EFFECT : result.failure.message };
}

const NO_EFFECT = "the write had no effect (trigger or row security)";

async function attempt(
  write: () => Promise<WriteResult>,
): Promise<WriteResult | { readonly kind: "unknown"; readonly failure: StoreUnavailableError }> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof StoreUnavailableError) return { kind: "unknown", failure: error };
    throw error;
  }
}

function asResolved(result: Exclude<WriteResult, { kind: "none" }>): ResolvedWrite {
  return result.kind === "refused" ? { kind: "error", cause: result.cause } : result;
}

function explain(
  facts: WriteFacts,
  journaled: boolean,
): ResolvedWrite | { readonly kind: "unchanged" } {
  if (journaled && facts.journaled) return { kind: "written" };
  if (!facts.epochIsOurs) throw new FencedError("a newer epoch was handed out");
  return facts.rowMatches ? { kind: "unchanged" } : { kind: "lost-race" };
}

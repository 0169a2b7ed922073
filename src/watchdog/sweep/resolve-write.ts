import type { RunSnapshot } from "../../rules/model.ts";
import { FencedError, LateWritesError, StoreUnavailableError } from "../errors.ts";
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
 * late twice, while the database answers questions about it, is an error of this run alone: something in the host's
 * tables holds it up, and the other runs need not wait for that. So is one that was late and may not be sent again,
 * because many others were late as well: without a note the run would be among the first of the next sweep, again and
 * again where only a few rows are locked.
 *
 * @param journaled whether the write leaves a journal row, by which it can be recognised.
 * @throws FencedError; StoreUnavailableError when the outcome cannot be found out; what the fence's check throws.
 */
export async function resolveWrite(
  store: Pick<RunStore, "facts">,
  run: RunSnapshot,
  fence: Fence,
  journaled: boolean,
  write: () => Promise<WriteResult>,
): Promise<ResolvedWrite> {
  let result = await write().catch(unknownOrThrown);
  if (result.kind === "unknown") {
    const { failure } = result;
    const answer = explain(await store.facts(run, fence), journaled);
    if (answer.kind !== "unchanged") return answer;
    result = await write().catch(unknownOrThrown);
    if (result.kind === "unknown" && !result.failure.late) {
      const wasLate = failure.late && result.failure instanceof LateWritesError;
      if (wasLate) return { kind: "error", cause: failure.message };
      throw result.failure;
    }
  }
  if (result.kind === "refused") return { kind: "error", cause: result.cause };
  if (result.kind !== "none" && result.kind !== "unknown") return result;

  // Also after the second attempt: the first one may have arrived late, and then it was ours.
  const answer = explain(await store.facts(run, fence), journaled);
  if (answer.kind !== "unchanged") return answer;
  return { kind: "error", cause: result.kind === "none" ? NO_EFFECT : result.failure.message };
}

const NO_EFFECT = "the write had no effect (trigger or row security)";

interface UnknownWrite {
  readonly kind: "unknown";
  readonly failure: StoreUnavailableError;
}

function unknownOrThrown(error: unknown): UnknownWrite {
  if (error instanceof StoreUnavailableError) return { kind: "unknown", failure: error };
  throw error;
}

function explain(
  facts: WriteFacts,
  journaled: boolean,
): ResolvedWrite | { readonly kind: "unchanged" } {
  if (journaled && facts.journaled) return { kind: "written" };
  if (!facts.epochIsOurs) throw new FencedError("a newer epoch was handed out");
  return facts.rowMatches ? { kind: "unchanged" } : { kind: "lost-race" };
}

/** More than two runs in a row can cause, with two attempts each. */
const LATE_IN_A_ROW = 5;

/**
 * The writes of one sweep that had no answer in time. A single one concerns its run alone; many in a row concern the
 * database. No further run is written then, and the sweep ends: each attempt would only add a statement that the server
 * has to cancel.
 */
export class LateWrites {
  #inARow = 0;
  #stopped: LateWritesError | null = null;

  /**
   * Makes one attempt to write.
   *
   * @param write gives its check to the store, which calls it directly before the statement leaves.
   * @throws what `write` throws; LateWritesError when there were too many late ones before it.
   */
  attempt(write: (check: () => void) => Promise<WriteResult>): Promise<WriteResult> {
    return write(this.#stopWhenLate).then(this.#answered, this.#failed);
  }

  readonly #answered = (result: WriteResult): WriteResult => {
    this.#inARow = 0;
    return result;
  };

  readonly #failed = (error: unknown): never => {
    if (error instanceof StoreUnavailableError && error.late) this.#inARow += 1;
    throw error;
  };

  readonly #stopWhenLate = (): void => {
    if (this.#stopped === null && this.#inARow < LATE_IN_A_ROW) return;
    this.#stopped ??= new LateWritesError(
      `${this.#inARow} writes in a row had no answer in time: look for a lock on the whole table, or a standby that does not confirm`,
    );
    throw this.#stopped;
  };
}

import { StoreUnavailableError } from "../errors.ts";
import type { WriteResult } from "../store-ports.ts";
import type { ResolvedWrite } from "./resolve-write.ts";

/**
 * The writes of one sweep that had no answer in time. One of them is its run's own trouble (resolve-write.ts); many, and none
 * in between that was answered, are the database's. No further run is written then, and the sweep ends: each attempt
 * would only be one more statement that the server has to get rid of.
 */
export class LateWrites {
  #inARow = 0;
  #refusal: StoreUnavailableError | null = null;

  /**
   * Has one write resolved. It is refused when there were too many late ones before it. A run that was late itself has
   * its trouble all the same: it has to be remembered, or it would be among the first again, and so it would go on for
   * ever where only a few rows are the matter.
   *
   * @param resolving settles what it is given.
   * @param write gives its check to the store, which calls it directly before the statement leaves.
   * @throws what `resolving` throws; StoreUnavailableError for a write that was refused.
   */
  async resolveWrite(
    resolving: (write: () => Promise<WriteResult>) => Promise<ResolvedWrite>,
    write: (check: () => void) => Promise<WriteResult>,
  ): Promise<ResolvedWrite> {
    const late: string[] = [];
    const attempt = async () => {
      try {
        const result = await write(() => this.#refuseWhenLate());
        this.#inARow = 0;
        return result;
      } catch (error) {
        if (error instanceof StoreUnavailableError && error.late) {
          this.#inARow += 1;
          late.push(error.message);
        }
        throw error;
      }
    };
    try {
      return await resolving(attempt);
    } catch (error) {
      const [cause] = late;
      if (cause === undefined || error !== this.#refusal) throw error;
      return { kind: "error", cause };
    }
  }

  #refuseWhenLate(): void {
    if (this.#refusal === null && this.#inARow < LATE_IN_A_ROW) return;
    this.#refusal ??= new StoreUnavailableError(
      `${this.#inARow} writes in a row had no answer in time: look for a lock on the whole table, or a standby that does not confirm`,
    );
    throw this.#refusal;
  }
}

/** More than two runs in a row, with two attempts each, come to by themselves. */
const LATE_IN_A_ROW = 5;

import { endsTheSweep } from "./errors.ts";
import { StoreUnavailableError } from "./ports.ts";

/**
 * Does one piece of work whose failure does not keep others from being done.
 *
 * @param onTrouble told about a failure that concerns this piece alone.
 * @throws what ends the sweep, and everything once `signal` has aborted.
 */
export async function isolated(
  work: () => Promise<void>,
  onTrouble: (error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    // A statement that took too long was held up by what it touched, and others touch something else.
    const late = error instanceof StoreUnavailableError && error.late;
    if (signal.aborted || (endsTheSweep(error) && !late)) throw error;
    onTrouble(error);
  }
}

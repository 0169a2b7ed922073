import { LinkedController } from "./linked-signal.ts";

/**
 * Runs `task` for every item, at most `limit` at once, taking the next item as soon as a slot is free. The first
 * failure, of a task or of the source, stops the taking and aborts the signal that the other tasks were given; they are
 * awaited before it is passed on.
 *
 * @throws what failed first, or `signal.reason`.
 */
export async function forEachConcurrently<T>(
  items: AsyncIterable<T>,
  limit: number,
  task: (item: T, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  using scope = new LinkedController(signal);
  const iterator = items[Symbol.asyncIterator]();
  let cutShort = false;

  async function takeTurns(): Promise<void> {
    // Whoever listens to a signal passes all who do already: the tasks of hundreds of slots would pass each other's.
    using own = new LinkedController(scope.signal);
    const { signal: slot } = own;
    try {
      while (true) {
        slot.throwIfAborted();
        const next = await iterator.next();
        if (next.done === true) return;
        // The source may have been slow.
        slot.throwIfAborted();
        await task(next.value, slot);
      }
    } catch (error) {
      cutShort = true;
      scope.abort(error);
    }
  }

  await Promise.all(Array.from({ length: limit }, takeTurns));
  await iterator.return?.();
  if (cutShort) throw scope.signal.reason;
}

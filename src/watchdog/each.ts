/**
 * Runs `task` for every item, at most `limit` at once, taking the next item as soon as a slot is free. The first task
 * that rejects stops the taking; what is in flight is awaited before the rejection is passed on.
 *
 * @throws what the first failing task or the source threw, or `signal.reason`.
 */
export async function forEachConcurrently<T>(
  items: AsyncIterable<T>,
  limit: number,
  task: (item: T) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const iterator = items[Symbol.asyncIterator]();
  let stopped = false;

  async function takeTurns(): Promise<void> {
    while (!stopped) {
      signal.throwIfAborted();
      const next = await iterator.next();
      if (next.done === true || stopped) return;
      await task(next.value);
    }
  }

  const turns = Array.from({ length: limit }, () =>
    takeTurns().catch((error: unknown) => {
      stopped = true;
      throw error;
    }),
  );
  const settled = await Promise.allSettled(turns);
  await iterator.return?.();
  for (const turn of settled) if (turn.status === "rejected") throw turn.reason;
}

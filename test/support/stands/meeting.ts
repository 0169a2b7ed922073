/** Everybody waits until `count` have come, then for what is done once. */
export function meeting(
  count: number,
  work: () => Promise<unknown> = async () => {},
): () => Promise<unknown> {
  const { promise: done, resolve } = Promise.withResolvers<unknown>();
  let come = 0;
  return () => {
    come += 1;
    if (come === count) resolve(work());
    return done;
  };
}

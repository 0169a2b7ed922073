/** A secret that somebody may replace while the worker runs. */
export interface Secret<T extends string | null> {
  /** As last read. */
  readonly current: T;
  /** Reads it again. Never throws: what cannot be read stays as it was. */
  refresh(): T;
}

/**
 * Sends something with the secret, and once more if it is rejected and the secret has been replaced since. Not before it
 * is rejected: a new secret may be there before the other side knows it.
 */
export async function withSecret<T extends string | null, A>(
  secret: Secret<T>,
  send: (value: T) => Promise<A>,
  isUnauthorized: (answer: A) => boolean,
): Promise<A> {
  const sent = secret.current;
  const answer = await send(sent);
  if (!isUnauthorized(answer)) return answer;
  const replaced = secret.refresh();
  return replaced === sent ? answer : await send(replaced);
}

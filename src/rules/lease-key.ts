/**
 * Where Redis keeps the lease of an installation, or of another shard than the first. People may have to delete it.
 *
 * The braces keep the key in one slot, whatever is added beside it.
 */
export function leaseKeyOf(installation: string, shard = 0): string {
  const key = `watchdog:{${installation}}:lease`;
  return shard === 0 ? key : `${key}:${shard}`;
}

/** Who holds a lease with this value, `<holder>/<token>`. The token is nobody else's business: with it one could give the lease away. */
export function holderOf(value: string): string {
  // Tokens hold no slash, holders may.
  const end = value.lastIndexOf("/");
  return end === -1 ? value : value.slice(0, end);
}

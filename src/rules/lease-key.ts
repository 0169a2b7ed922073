/**
 * Where Redis keeps the lease of an installation. People may have to delete it.
 *
 * The braces keep the key in one slot, whatever is added beside it.
 */
export function leaseKeyOf(installation: string): string {
  return `watchdog:{${installation}}:lease`;
}

/** Who holds a lease with this value, `<holder>/<token>`. The token is nobody else's business: with it one could give the lease away. */
export function holderOf(value: string): string {
  // Tokens hold no slash, holders may.
  const end = value.lastIndexOf("/");
  return end === -1 ? value : value.slice(0, end);
}

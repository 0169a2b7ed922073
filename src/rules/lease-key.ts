/**
 * Where Redis keeps the lease of an installation. People may have to delete it.
 *
 * The braces keep the key in one slot, whatever is added beside it.
 */
export function leaseKeyOf(installation: string): string {
  return `watchdog:{${installation}}:lease`;
}

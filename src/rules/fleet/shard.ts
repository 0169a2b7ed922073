/** A part of all runs: those whose ids have the same remainder. Each part has a lease and epochs of its own. */

export interface Shard {
  /** From 0 on. */
  readonly index: number;
  /** Into how many parts the runs are divided. */
  readonly count: number;
}

export const MOST_SHARDS = 64;

/** All runs: they are not divided, or whoever has this leads every part. */
export const WHOLE: Shard = { index: 0, count: 1 };

/** Only one part writes presumptions, so that the guard sees all of them. */
export function mayPresume({ index }: Shard): boolean {
  return index === 0;
}

/** What all workers of an installation have in common, or else take turns with. */
export interface LeaseNote<Kind extends string = string> {
  readonly leaseKind: Kind;
  readonly shards: number;
}

/** One word for both: `redis`, `redis/4`. A version that knows no shards takes the second for a kind it does not know. */
export function noteOf({ leaseKind, shards }: LeaseNote): string {
  return shards === 1 ? leaseKind : `${leaseKind}/${shards}`;
}

/** `null` for what no version has written. */
export function readNote(text: string | null): LeaseNote<"redis" | "postgres"> | null {
  const [, kind, count = "1"] = /^(redis|postgres)(?:\/(\d{1,2}))?$/.exec(text ?? "") ?? [];
  if (kind !== "redis" && kind !== "postgres") return null;
  return { leaseKind: kind, shards: Number(count) };
}

export const ONE_LEASE_KIND = "give all of them the same REDIS_URL, or none";
export const ONE_DIVISION = "give all of them the same WATCHDOG_SHARDS";

/** What a worker that differs from the others has to be told; `null` when it does not differ. */
export function otherNoteText(noted: LeaseNote, own: LeaseNote): string | null {
  const said: string[] = [];
  if (noted.leaseKind !== own.leaseKind) {
    said.push(`other workers of this database use the ${noted.leaseKind} lease: ${ONE_LEASE_KIND}`);
  }
  if (noted.shards !== own.shards) {
    said.push(
      `other workers of this database divide the runs into ${noted.shards} shards, this one into ${own.shards}: ${ONE_DIVISION}`,
    );
  }
  return said.length === 0 ? null : said.join("; ");
}

/**
 * How many parts a worker leads while others are there to lead the rest.
 *
 * @param workers how many there are, this one included.
 */
export function fairShare(count: number, workers: number): number {
  return Math.ceil(count / Math.max(1, workers));
}

/** Its part of what all workers may do at once; never nothing. */
export function shareOf(limit: number, held: number, count: number): number {
  return Math.max(1, Math.floor((limit * held) / count));
}

/** All parts, from one of the worker's own on: where workers do not know of each other, they begin at different ones. */
export function rotated(count: number, holder: string): readonly number[] {
  let hash = 0;
  for (const letter of holder) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return Array.from({ length: count }, (_, place) => (hash + place) % count);
}

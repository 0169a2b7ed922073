/** A person's word that nobody sweeps for a while. */
export interface Pause {
  /** ISO 8601, UTC. */
  readonly until: string;
  /** As the person gave it, on one line. */
  readonly reason: string;
  /** Who said so, for people. */
  readonly by: string;
  /** By the database's clock when it was read; 0 or less when it is over. */
  readonly leftMs: number;
}

export function isInForce(pause: Pause | null): pause is Pause {
  return pause !== null && pause.leftMs > 0;
}

export const END_PAUSE = "run-watchdog resume ends it";

/** Why nothing is swept, in the same words everywhere: health, report, status. */
export function pauseReason(pause: Omit<Pause, "leftMs">): string {
  return `${pauseText(pause)} (${END_PAUSE})`;
}

export function pauseText({ until, reason, by }: Omit<Pause, "leftMs">): string {
  return `paused until ${until} by ${by}: ${reason}`;
}

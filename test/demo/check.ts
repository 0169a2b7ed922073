/** One promise of the watchdogs, and whether it was kept. */
export interface Check {
  readonly ok: boolean;
  readonly text: string;
}

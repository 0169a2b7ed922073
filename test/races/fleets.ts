/** Fleets that do not divide the runs, and those that do: the same holds for the sweeps of both. */
export const FLEETS = [
  { as: "", divided: {} },
  { as: ", in a fleet with four shards", divided: { WATCHDOG_SHARDS: "4" } },
] as const;

export interface SweepOfFleet {
  readonly as: string;
  readonly divided: Readonly<Record<string, string>>;
  /** All runs, or those of a single shard. */
  readonly of: { readonly shard?: number };
}

/** The same, and a single shard's. */
export const SWEEPS: readonly SweepOfFleet[] = [
  ...FLEETS.map((fleet) => ({ ...fleet, of: {} })),
  { as: ", of one of four shards", divided: { WATCHDOG_SHARDS: "4" }, of: { shard: 2 } },
];

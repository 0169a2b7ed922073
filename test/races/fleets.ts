/** Fleets that do not divide the runs, and those that do: the same holds for the sweeps of both. */
export const FLEETS = [
  { as: "", divided: {} },
  { as: ", in a fleet with four shards", divided: { WATCHDOG_SHARDS: "4" } },
] as const;

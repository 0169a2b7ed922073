import { type Shard, WHOLE } from "../../../src/rules/fleet/shard.ts";

/** Who leads: the only one of a fleet that does not divide the runs, and one of a fleet that does. */
export function leaders(other: Shard): readonly { readonly shard: Shard; readonly as: string }[] {
  const { index, count } = other;
  return [
    { shard: WHOLE, as: "" },
    { shard: other, as: `, for the leader of shard ${index} of ${count}` },
  ];
}

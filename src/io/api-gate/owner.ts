/** Whose run or sandbox it is, as rows have it: both ids can be missing. */
export interface Owner {
  readonly userId: string | null;
  readonly orgId: string | null;
}

/** A key for maps; different owners never share one, whatever their ids look like. */
export function ownerName({ userId, orgId }: Owner): string {
  return JSON.stringify([userId, orgId]);
}

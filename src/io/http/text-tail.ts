/** More than rules/ ever shows (1000 code points), in UTF-16 units. */
const KEPT_UNITS = 4000;

/**
 * The end of a text, as a string of its own. A plain slice would keep the whole text in memory behind it, and a run's
 * output can be megabytes.
 */
export function textTail(text: string | null | undefined): string {
  if (text === null || text === undefined) return "";
  if (text.length <= KEPT_UNITS) return text;
  // UTF-16 in both directions: the copy keeps lone surrogates as they are.
  return Buffer.from(text.slice(-KEPT_UNITS), "utf16le").toString("utf16le");
}

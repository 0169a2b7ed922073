import { StatementRefusedError } from "./errors.ts";

/**
 * Makes an attempt whose texts the database may not be able to hold: one that is not UTF-8 refuses the whole statement
 * for a single character. Nothing was executed then, and it is made again without more and more of them, because what
 * a run says about itself must not keep it from its verdict.
 *
 * @param attempt given the characters to leave out of every text; `null` for none.
 */
export async function fitting<T>(attempt: (leaveOut: RegExp | null) => Promise<T>): Promise<T> {
  for (const leaveOut of MORE_AND_MORE) {
    try {
      return await attempt(leaveOut);
    } catch (error) {
      if (!(error instanceof StatementRefusedError) || !CANNOT_HOLD.has(error.code)) throw error;
    }
  }
  return await attempt(ALL_BUT_ASCII);
}

/** Emoji and the like, which only UTF-8 has; what LATIN1 and its relatives lack; everything that not all have. */
const MORE_AND_MORE = [null, /[\u{10000}-\u{10ffff}]/gu, /[^\0-\xff]/gu];
const ALL_BUT_ASCII = /[^\0-\x7f]/gu;

/** An untranslatable character, an invalid byte sequence. */
const CANNOT_HOLD = new Set(["22P05", "22021"]);

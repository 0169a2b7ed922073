/** How much of a long text is looked at, in UTF-16 units: more than rules/ ever shows (1000 code points). */
const KEPT_UNITS = 4000;
/** What stays of a text that long, at least: each unit can be written in six bytes. */
const KEPT_TEXT_BYTES = 24 * 1024;

/** Most answers are shorter, and Node takes so little from a pool. */
const FIRST_BYTES = 1024;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Joins the pieces of a JSON text as they come, and keeps only the ends of long texts in it: a run's output can be
 * megabytes, of which a verdict shows the last lines. A text of up to 48 KiB stays whole; of a longer one its last
 * 24 KiB stay, or a little more. Names are shortened like values, which never makes a short one of them.
 *
 * Every byte is copied at once, because a piece costs a hundred bytes of its own, and a hostile server sends millions of
 * pieces of one byte.
 */
export class JsonCollector {
  readonly #maxBytes: number;
  #bytes = Buffer.alloc(0);
  #size = 0;
  #inText = false;
  #escaped = false;
  /** Where the current text begins. */
  #textAt = 0;
  /** A position between two characters of the current text; what is before it can be dropped. */
  #cutAt = 0;

  /** `maxBytes` limits what is kept. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** What is kept, not copied. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  /** False when more would have to be kept than allowed; the document is unusable then. */
  add(piece: Uint8Array): boolean {
    for (let at = 0; at < piece.length; at += 1) {
      if (this.#size === this.#bytes.length && !this.#grow()) return false;
      const byte = piece[at] ?? 0;
      this.#bytes[this.#size] = byte;
      this.#size += 1;
      if (this.#escaped) this.#escaped = false;
      else if (byte === QUOTE) this.#beginOrEndText();
      else if (byte === BACKSLASH) this.#escaped = this.#inText;
      // Not behind a backslash: without it, what it escapes would end the text or escape what follows.
      const cuttable = this.#inText && !this.#escaped;
      if (cuttable && this.#size - this.#cutAt >= KEPT_TEXT_BYTES) this.#shorten();
    }
    return true;
  }

  #beginOrEndText(): void {
    this.#inText = !this.#inText;
    this.#textAt = this.#size;
    this.#cutAt = this.#size;
  }

  #shorten(): void {
    this.#bytes.copyWithin(this.#textAt, this.#cutAt, this.#size);
    this.#size -= this.#cutAt - this.#textAt;
    this.#cutAt = this.#size;
  }

  #grow(): boolean {
    if (this.#size === this.#maxBytes) return false;
    const wanted = Math.max(FIRST_BYTES, this.#size * 2);
    const grown = Buffer.allocUnsafe(Math.min(wanted, this.#maxBytes));
    this.bytes.copy(grown);
    this.#bytes = grown;
    return true;
  }
}

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

/** A piece of HTML that needs no escaping. Made by `html`, or of a constant. */
export class Html {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

export type Piece = Html | string | number | null | readonly Piece[];

/**
 * Text is escaped for content and for attributes in double quotes; `null` is nothing. Not for scripts, styles, URLs or
 * names of elements and attributes.
 */
export function html(parts: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  const texts = pieces.map(textOf);
  return new Html(parts.map((part, index) => part + (texts[index] ?? "")).join(""));
}

function textOf(piece: Piece): string {
  if (piece === null) return "";
  if (piece instanceof Html) return piece.toString();
  if (typeof piece === "object") return piece.map(textOf).join("");
  return String(piece).replace(NEVER_SHOWN, "\uFFFD").replace(SPECIAL, escaped);
}

/** Control characters, which HTML forbids, and those that turn around the order in which other text is read. */
const NEVER_SHOWN = /[^\P{Cc}\n\t]|[\u202A-\u202E\u2066-\u2069]/gu;
const SPECIAL = /[&<>"']/g;

function escaped(character: string): string {
  return `&#${character.codePointAt(0)};`;
}

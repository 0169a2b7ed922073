/** One figure of a bench, and what it must show. */

export type Limit = { readonly atMost: number } | { readonly atLeast: number };

export interface Figure {
  readonly name: string;
  readonly value: number;
  /** Such as `ms`; empty for a ratio or a count. */
  readonly unit: string;
  /** Left out where the figure only tells. */
  readonly limit?: Limit;
}

/** What a part of the bench has found. */
export interface Findings {
  readonly figures: readonly Figure[];
  /** What a reader has to know to judge the figures. */
  readonly notes: readonly string[];
}

/** `null` where nothing is demanded. A figure that could not be measured holds nothing. */
export function holds({ value, limit }: Figure): boolean | null {
  if (limit === undefined) return null;
  return "atMost" in limit ? value <= limit.atMost : value >= limit.atLeast;
}

/** Three digits that count, and none after the point of a large number. */
export function shown({ value, unit }: Pick<Figure, "value" | "unit">): string {
  return [short(value), unit].filter((part) => part !== "").join(" ");
}

export function shownLimit({ limit, unit }: Figure): string {
  if (limit === undefined) return "";
  return "atMost" in limit
    ? `at most ${shown({ value: limit.atMost, unit })}`
    : `at least ${shown({ value: limit.atLeast, unit })}`;
}

function short(value: number): string {
  if (!Number.isFinite(value)) return "not measured";
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

/** Points in time beside the moment at which somebody reads them. */
import { duration, wrapped } from "./words.ts";

/** `2026-11-28 18:12:01Z (12 min ago)`; what no Date can hold stays as it is. */
export function moment(at: string, readAt: string): string {
  if (Number.isNaN(Date.parse(at))) return at;
  return `${at.slice(0, 19).replace("T", " ")}Z (${distance(at, readAt)})`;
}

/** `12 min ago`, `in 3 min` */
export function distance(at: string, readAt: string): string {
  const ms = between(at, readAt);
  if (ms === null) return at;
  return ms >= 0 ? `${duration(ms)} ago` : `in ${duration(-ms)}`;
}

/** Milliseconds from one to the other; `null` when one of them is no date. */
export function between(from: string, to: string): number | null {
  const ms = Date.parse(to) - Date.parse(from);
  return Number.isNaN(ms) ? null : ms;
}

const LABEL_CHARS = 14;

/** A label, and beside it a text of any length. */
export function field(label: string, text: string): readonly string[] {
  const indent = 2 + LABEL_CHARS;
  const [first = "", ...rest] = wrapped(text, indent);
  return [`  ${label.padEnd(LABEL_CHARS)}${first.slice(indent)}`, ...rest];
}

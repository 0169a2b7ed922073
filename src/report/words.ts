/** Numbers, lengths of time and lines as people read them. */

/** What a terminal has at least. */
export const WIDTH = 80;

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Two units at most: `0.4 s`, `40 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 9950) return `${(ms / SECOND_MS).toFixed(1)} s`;
  const rounded = Math.round(ms / SECOND_MS) * SECOND_MS;
  if (rounded < MINUTE_MS) return `${rounded / SECOND_MS} s`;
  if (rounded < HOUR_MS) return twoUnits(rounded, [MINUTE_MS, "min"], [SECOND_MS, "s"]);
  if (rounded < DAY_MS) return twoUnits(rounded, [HOUR_MS, "h"], [MINUTE_MS, "min"]);
  return twoUnits(rounded, [DAY_MS, "d"], [HOUR_MS, "h"]);
}

type Unit = readonly [ms: number, name: string];

function twoUnits(ms: number, [largeMs, large]: Unit, [smallMs, small]: Unit): string {
  const rest = Math.floor((ms % largeMs) / smallMs);
  return `${Math.floor(ms / largeMs)} ${large}${rest === 0 ? "" : ` ${rest} ${small}`}`;
}

/** `1,204` */
export function count(number: number): string {
  return number.toLocaleString("en-US");
}

/** `1 stale run`, `1,204 stale runs` */
export function counted(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Without what a terminal or a reader of lines would obey. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ");
}

/** Lines of at most `WIDTH` characters: the first is indented by `indent`, the others by `hanging`. */
export function wrapped(text: string, indent: number, hanging = indent): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of words(text, WIDTH - Math.max(indent, hanging))) {
    const room = WIDTH - (lines.length === 0 ? indent : hanging);
    if (line !== "" && line.length + 1 + word.length > room) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.map((each, index) => `${" ".repeat(index === 0 ? indent : hanging)}${each}`);
}

/** A word that fits into no line is cut. */
function words(text: string, room: number): readonly string[] {
  return printable(text)
    .split(/ +/)
    .filter((word) => word !== "")
    .flatMap((word) => word.match(new RegExp(`.{1,${room}}`, "gu")) ?? []);
}

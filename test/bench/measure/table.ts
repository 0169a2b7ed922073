import { type Findings, holds, shown, shownLimit } from "./figure.ts";

/** The figures of one part as aligned lines: name, figure, what it must show, and whether it does. */
export function tableOf({ figures, notes }: Findings): readonly string[] {
  const rows = figures.map((figure) => [
    figure.name,
    shown(figure),
    shownLimit(figure),
    WORDS.get(holds(figure)) ?? "",
  ]);
  const widths = [0, 1, 2].map((column) =>
    Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = rows.map(([name = "", value = "", limit = "", verdict = ""]) =>
    [
      name.padEnd(widths[0] ?? 0),
      value.padStart(widths[1] ?? 0),
      limit.padEnd(widths[2] ?? 0),
      verdict,
    ]
      .join("  ")
      .trimEnd(),
  );
  return [...lines, ...notes].map((line) => `  ${line}`);
}

const WORDS: ReadonlyMap<boolean | null, string> = new Map([
  [true, "holds"],
  [false, "DOES NOT HOLD"],
]);

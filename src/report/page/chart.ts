/** The last sweeps as rows of bars. Each row says in words what it shows, so that no colour has to be known. */
import type { SweepCounts, SweepSummary } from "../../rules/report.ts";
import { type Html, html } from "./html.ts";
import { duration } from "./times.ts";

const BAR = 8;
const HEIGHT = 40;
/** As many as the process keeps: fewer sweeps are shown as fewer bars, not as wider ones. */
const SLOTS = 60;

interface Row {
  readonly name: string;
  /** How its bars are drawn. */
  readonly style: string;
  readonly value: (sweep: SweepSummary) => number;
  readonly words: (value: number) => string;
}

const ROWS: readonly Row[] = [
  {
    name: "Runs ended",
    style: "ended",
    value: ({ counts }) => endedIn(counts),
    words: String,
  },
  {
    name: "Runs left for later",
    style: "later",
    value: ({ counts }) => leftIn(counts),
    words: String,
  },
  {
    name: "Runs held, skipped or in error",
    style: "trouble",
    value: ({ counts }) => troubleIn(counts),
    words: String,
  },
  { name: "Duration", style: "took", value: ({ durationMs }) => durationMs, words: duration },
];

export function endedIn({ completed, failed }: SweepCounts): number {
  return completed + failed;
}

export function leftIn(counts: SweepCounts): number {
  const { deferred, suspected, undetermined, lostRace, busy } = counts;
  return deferred + suspected + undetermined + lostRace + busy;
}

export function troubleIn({ held, skipped, errors }: SweepCounts): number {
  return held + skipped + errors;
}

/** @param sweeps oldest first. */
export function sweepChart(sweeps: readonly SweepSummary[]): Html {
  const shown = sweeps.slice(-SLOTS);
  return html`<div class="charts">${ROWS.map((row) => figure(row, shown))}</div>`;
}

function figure({ name, style, value, words }: Row, sweeps: readonly SweepSummary[]): Html {
  const values = sweeps.map(value);
  const most = Math.max(0, ...values);
  const caption = `last ${words(values.at(-1) ?? 0)}, most ${words(most)}`;
  const bars = sweeps.map((sweep, index) => {
    const height = most === 0 ? 0 : barHeight((values[index] ?? 0) / most);
    const x = (SLOTS - sweeps.length + index) * BAR;
    const title = `${sweep.startedAt.slice(11, 19)} UTC: ${words(values[index] ?? 0)}`;
    return html`<rect x="${x}" y="${HEIGHT - height}" width="${BAR - 2}" height="${height}"><title>${title}</title></rect>`;
  });
  return html`<figure><figcaption>${name}<span>${caption}</span></figcaption><svg class="${style}" viewBox="0 0 ${SLOTS * BAR} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${name} in the last ${sweeps.length} sweeps: ${caption}">${bars}</svg></figure>`;
}

/** What is there at all can be seen. */
function barHeight(share: number): number {
  return share === 0 ? 0 : Math.max(2, Math.round(share * HEIGHT));
}

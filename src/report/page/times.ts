/** Lengths and points of time for people. */
import { type Html, html } from "./html.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** One unit, so coarse that the number stays short: `412 ms`, `4.1 s`, `40 s`, `12 min`, `5 h`, `3 d`. */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  return ms < 9950 ? `${(ms / SECOND_MS).toFixed(1)} s` : coarse(ms);
}

/** Whole units, as an age needs it. Each begins where the one below would be rounded to two of it. */
function coarse(ms: number): string {
  if (ms < 2 * MINUTE_MS - SECOND_MS / 2) return `${Math.round(ms / SECOND_MS)} s`;
  if (ms < 2 * HOUR_MS - MINUTE_MS / 2) return `${Math.round(ms / MINUTE_MS)} min`;
  if (ms < 2 * DAY_MS - HOUR_MS / 2) return `${Math.round(ms / HOUR_MS)} h`;
  return `${Math.round(ms / DAY_MS)} d`;
}

/** `in 40 s`, `12 min ago`, `now`; the exact time is in the element. */
export function relative(at: Date, now: Date): Html {
  const ms = at.getTime() - now.getTime();
  const length = coarse(Math.abs(ms));
  const words = Math.abs(ms) < SECOND_MS ? "now" : ms > 0 ? `in ${length}` : `${length} ago`;
  return html`<time datetime="${at.toISOString()}" title="${at.toISOString()}">${words}</time>`;
}

/** `14:02:11`, with the date before it when it is not today's. All times are UTC. */
export function clock(at: Date, now: Date): Html {
  const iso = at.toISOString();
  const [date = "", time = ""] = iso.split(/[T.]/);
  const day = now.toISOString().startsWith(date) ? null : html`<span>${date}</span> `;
  return html`<time datetime="${iso}">${day}<span>${time}</span></time>`;
}

/** What this process's sweeps did, and what the backend lets them do. */
import type { SweepSummary } from "../../rules/report.ts";
import { endedIn, leftIn, sweepChart, troubleIn } from "./chart.ts";
import { type Html, html } from "./html.ts";
import type { PageFacts } from "./model.ts";
import { clock, duration } from "./times.ts";

const ROWS = 6;

export function sweepsSection({ recentSweeps, role, at }: PageFacts): Html {
  return html`<section aria-labelledby="sweeps"><h2 id="sweeps">Last sweeps of this process</h2>${
    recentSweeps.length === 0
      ? html`<p class="quiet">None yet.${role === "standby" ? " The leader's page shows its own." : ""}</p>`
      : html`${sweepChart(recentSweeps)}${table(recentSweeps, at)}`
  }</section>`;
}

function table(sweeps: readonly SweepSummary[], at: Date): Html {
  const rows = sweeps
    .slice(-ROWS)
    .toReversed()
    .map(
      ({ startedAt, durationMs, status, counts }) =>
        html`<tr><td class="tight">${clock(new Date(startedAt), at)}</td><td>${status}</td><td class="number">${endedIn(counts)}</td><td class="number">${leftIn(counts)}</td><td class="number">${troubleIn(counts)}</td><td class="number">${duration(durationMs)}</td></tr>`,
    );
  return html`<table><caption>${sweeps.length > ROWS ? `The newest ${ROWS} of ${sweeps.length}` : "Newest first"}</caption><thead><tr><th scope="col" class="tight">UTC</th><th scope="col">Result</th><th scope="col" class="number">Ended</th><th scope="col" class="number">Later</th><th scope="col" class="number">Trouble</th><th scope="col" class="number">Took</th></tr></thead><tbody>${rows}</tbody></table>`;
}

export function cleanupsSection({ recentSweeps }: PageFacts): Html {
  const last = recentSweeps.at(-1);
  const sum = (of: "done" | "abandoned") =>
    recentSweeps.reduce((total, { cleanups }) => total + cleanups[of], 0);
  const content =
    last === undefined
      ? html`<p class="quiet">Not known yet: this process has not swept.</p>`
      : html`<dl><dt>Pending</dt><dd>${last.cleanups.pending}</dd><dt>Deleted</dt><dd>${sum("done")} in the last ${sweepsIn(recentSweeps)}</dd><dt>Abandoned</dt><dd>${sum("abandoned")} in the last ${sweepsIn(recentSweeps)}</dd></dl>`;
  return html`<section class="half" aria-labelledby="cleanups"><h2 id="cleanups">Sandboxes to delete</h2>${content}</section>`;
}

function sweepsIn({ length }: readonly SweepSummary[]): string {
  return length === 1 ? "sweep" : `${length} sweeps`;
}

export function apiSection({ api }: PageFacts): Html {
  return html`<section class="half" aria-labelledby="api"><h2 id="api">The backend's API</h2>${
    api === null
      ? html`<p class="quiet">Runs share none with this backend.</p>`
      : html`<dl><dt>Circuit breaker</dt><dd>${api.breaker}</dd><dt>Asked now</dt><dd>${api.blockedReason === null ? "yes" : `no: ${api.blockedReason}`}</dd><dt>Pause it asked for</dt><dd>${api.throttle.pausedForMs === 0 ? "none" : duration(api.throttle.pausedForMs)}</dd><dt>Calls at once</dt><dd>${api.throttle.concurrency ?? "as configured"}</dd></dl>`
  }</section>`;
}

/** The runs that wait, those that are held back, and those that were ended. */
import type { PastVerdict, Waiting, WaitingState } from "../../rules/report.ts";
import { type Html, html } from "./html.ts";
import type { PageFacts } from "./model.ts";
import { clock, relative } from "./times.ts";

export const OVERRIDE_COMMAND = 'run-watchdog once --override-guard "<why they are dead>"';

/** Nothing while no run is held. */
export function heldSection({ waiting, heldFor, lastHold, at }: PageFacts): Html {
  const count = waiting?.held ?? 0;
  if (count === 0 && heldFor === null) return html``;
  const reason = heldFor ?? lastHold?.reason ?? null;
  const why =
    reason === null
      ? html`<p>The page and the log of the worker that held them say why.</p>`
      : html`<p>Why: <b>${reason}</b>${lastHold === null ? "" : html` (${relative(new Date(lastHold.at), at)})`}</p>`;
  const runs = (lastHold?.runIds ?? []).map((id) => html`<li><span class="id">${id}</span></li>`);
  return html`<section class="held" aria-labelledby="held"><h2 id="held">Held back by the guard: ${runsIn(count)}</h2>${why}<p>Held runs stay RUNNING. Check the backend first. If they really are dead, override the guard:</p><code class="command">${OVERRIDE_COMMAND}</code>${runs.length === 0 ? "" : html`<p>Some of them:</p><ul>${runs}</ul>`}</section>`;
}

function runsIn(count: number): string {
  if (count === 0) return "runs of this sweep";
  return count === 1 ? "1 run" : `${count} runs`;
}

const STATES: readonly (readonly [WaitingState, string])[] = [
  ["alive", "running or starting, asked again later"],
  ["suspected", "looks dead, must be seen again"],
  ["held", "confirmed dead, held back by the guard"],
  ["unanswered", "no usable answer from the backend"],
  ["failing", "could not be handled"],
];

/** What somebody has to look at as long as there is one. */
const WORRYING: readonly WaitingState[] = ["held", "unanswered", "failing"];

export function waitingSection({ waiting, at }: PageFacts): Html {
  const content =
    waiting === null
      ? html`<p class="quiet">Not known yet: the database has not been read.</p>`
      : html`<ul class="tiles">${STATES.map(([state, meaning]) => tile(waiting, state, meaning))}</ul>${nextLook(waiting, at)}`;
  return html`<section aria-labelledby="waiting"><h2 id="waiting">Runs that wait, past their deadline</h2>${content}</section>`;
}

function tile(waiting: Waiting, state: WaitingState, meaning: string): Html {
  const count = waiting[state];
  const style = count === 0 ? "none" : WORRYING.includes(state) ? "some" : "fine";
  return html`<li class="${style}"><b>${count}</b><span>${state}</span><small>${meaning}</small></li>`;
}

function nextLook({ nextLookAt }: Waiting, at: Date): Html {
  return nextLookAt === null
    ? html`<p class="quiet">No run waits.</p>`
    : html`<p class="quiet">Next look ${relative(new Date(nextLookAt), at)}.</p>`;
}

export function verdictsSection({ recentVerdicts, observes, at }: PageFacts): Html {
  const note = observes
    ? html`<p>It observes: none of this was written, and the runs were left as they are.</p>`
    : html``;
  const content =
    recentVerdicts.length === 0
      ? html`<p class="quiet">This process has ended no run yet.</p>`
      : html`${note}<table><thead><tr><th scope="col" class="tight">UTC</th><th scope="col">Outcome, basis</th><th scope="col">Reason, run</th></tr></thead><tbody>${recentVerdicts.map((verdict) => verdictRow(verdict, at))}</tbody></table>`;
  return html`<section aria-labelledby="verdicts"><h2 id="verdicts">Last verdicts of this process</h2>${content}</section>`;
}

function verdictRow({ decidedAt, outcome }: PastVerdict, at: Date): Html {
  const { runId, action, basis, reason } = outcome;
  return html`<tr><td class="tight">${clock(decidedAt, at)}</td><td>${action}<small>${basis}</small></td><td class="text">${reason}<small class="id">${runId}</small></td></tr>`;
}

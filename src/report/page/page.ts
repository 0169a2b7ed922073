/** The status page: one document that needs nothing but itself, and no script. */
import { createHash } from "node:crypto";
import { isInForce } from "../../rules/fleet/pause.ts";
import { health } from "../../rules/health.ts";
import { leadSection, processSection, replicasSection } from "./fleet.ts";
import { Html, html } from "./html.ts";
import { statusIcon } from "./icon.ts";
import type { PageBuild, PageFacts } from "./model.ts";
import { heldSection, verdictsSection, waitingSection } from "./runs.ts";
import { STYLE } from "./style.ts";
import { apiSection, cleanupsSection, sweepsSection } from "./sweeps.ts";
import { clock, relative } from "./times.ts";

const REFRESH_SECONDS = 10;

export interface Page {
  readonly html: string;
  /** The value of the header Content-Security-Policy: allows the page's own style and icon, and nothing else. */
  readonly contentSecurityPolicy: string;
}

export function statusPage(facts: PageFacts, build: PageBuild): Page {
  const { status } = health(facts);
  const icon = `data:image/svg+xml,${encodeURIComponent(statusIcon(status, "icon").toString())}`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${REFRESH_SECONDS}">
<meta name="robots" content="noindex">
<title>${status} - run-watchdog ${facts.holder}</title>
<link rel="icon" href="${icon}">
<style>${new Html(STYLE)}</style>
</head>
<body>
<header><h1>run-watchdog</h1><p class="quiet">${facts.holder}</p></header>
<main>
${statusSection(facts)}
${heldSection(facts)}
${waitingSection(facts)}
${sweepsSection(facts)}
${verdictsSection(facts)}
${replicasSection(facts, build)}
${leadSection(facts)}
${cleanupsSection(facts)}
${apiSection(facts)}
${processSection(facts, build)}
</main>
<footer>As of ${facts.at.toISOString().slice(0, 19).replace("T", " ")} UTC, from this process's memory; looks again every ${REFRESH_SECONDS} s. The same for programs: <a href="health">health</a>.</footer>
</body>
</html>
`;
  return { html: page.toString(), contentSecurityPolicy: policy() };
}

function statusSection(facts: PageFacts): Html {
  const { status, reasons } = health(facts);
  const list =
    reasons.length === 0
      ? html`<p>Nothing is wrong, as far as this process can see.</p>`
      : html`<ul>${reasons.map((reason) => html`<li>${reason}</li>`)}</ul>`;
  return html`<section class="status ${status}" aria-labelledby="status"><h2 id="status">${statusIcon(status, "mark")}${status}</h2>${list}<p>${doing(facts)}</p></section>`;
}

function doing({ role, nextSweepAt, at, leaseHolder, lastPause, shards }: PageFacts): Html {
  if (isInForce(lastPause)) {
    return html`<b>Paused</b>: nobody sweeps before ${clock(new Date(lastPause.until), at)} UTC, unless <code>run-watchdog resume</code> ends the pause.`;
  }
  const next = html`the next sweep is due ${relative(nextSweepAt, at)}`;
  switch (role) {
    case "sweeping":
      return html`<b>Sweeping</b> now; ${next}.`;
    case "observing":
      return html`<b>Observing</b> now; ${next}.`;
    case "standby":
      return html`<b>Standby</b>: ${shards ? "other workers lead" : `${leaseHolder ?? "another worker"} leads`}; ${next}.`;
    case "idle":
      return html`<b>Idle</b> between two sweeps; ${next}.`;
  }
}

function policy(): string {
  const hash = createHash("sha256").update(STYLE).digest("base64");
  return `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
}

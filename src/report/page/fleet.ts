/** Who leads, who else is there, and what this process is. */
import { type DependencyStatus, sinceSweepMs } from "../../rules/health.ts";
import { type Html, html } from "./html.ts";
import type { LedShard, PageBuild, PageFacts } from "./model.ts";
import { duration, relative } from "./times.ts";

/** Of each shard, where the runs are divided. */
export function leadSection(facts: PageFacts): Html {
  const { shards, leaseKind, nowMs } = facts;
  if (shards === undefined) return leaderSection(facts);
  const rows = shards.map(
    (lead) =>
      html`<tr><td class="tight">${lead.shard}</td><td class="text">${lead.leader ?? "nobody, as far as this process knows"}</td><td class="number">${lastSwept(lead, nowMs)}</td></tr>`,
  );
  return html`<section aria-labelledby="shards"><h2 id="shards">Shards</h2><table><caption>Each with a lease of its own (${leaseKind})</caption><thead><tr><th scope="col" class="tight">Shard</th><th scope="col">Leader</th><th scope="col" class="number">Last swept</th></tr></thead><tbody>${rows}</tbody></table></section>`;
}

function lastSwept({ role, fleet }: LedShard, nowMs: number): string {
  const agoMs = sinceSweepMs(fleet, nowMs);
  if (role === "sweeping") return "under way";
  if (agoMs === null) return "not known yet";
  return fleet?.sinceFinishMs === null ? "under way" : `${duration(agoMs)} ago`;
}

function leaderSection({ at, ...facts }: PageFacts): Html {
  const { leaseHolder, leaseExpiresAt, leaseHeldForMs, leaseKind } = facts;
  const held = leaseHeldForMs === null ? "" : `, for ${duration(leaseHeldForMs)} by now`;
  const lease =
    leaseHolder === null
      ? html`nobody holds it, as far as this process knows`
      : html`${leaseHolder}${held}${leaseExpiresAt === null ? ", without an end" : html`, ends ${relative(leaseExpiresAt, at)} unless renewed`}`;
  const last = lastSweep(facts);
  return html`<section class="half" aria-labelledby="leader"><h2 id="leader">Leader</h2><dl><dt>Lease (${leaseKind})</dt><dd>${lease}</dd>${
    last === null
      ? html`<dt>Last sweep</dt><dd>not known yet: the database has not been read</dd>`
      : html`<dt>Last sweep by</dt><dd>${last.holder ?? "nobody yet"}</dd><dt>It ended</dt><dd>${ended(last, at)}</dd><dt>Epoch</dt><dd>${last.epoch}</dd>`
  }</dl></section>`;
}

type FleetSweep = NonNullable<PageFacts["leadership"]>;

/** The leadership row is read before a sweep: what this process has swept since is newer. */
function lastSweep({
  leadership,
  recentSweeps,
}: Pick<PageFacts, "leadership" | "recentSweeps">): FleetSweep | null {
  const own = recentSweeps.at(-1);
  if (own === undefined || own.epoch === null) return leadership;
  if (leadership !== null && leadership.epoch > own.epoch) return leadership;
  return {
    epoch: own.epoch,
    holder: own.holder,
    sweepStartedAt: own.startedAt,
    sweepFinishedAt: own.finishedAt,
    lastStatus: own.status,
  };
}

function ended({ sweepStartedAt, sweepFinishedAt, lastStatus }: FleetSweep, at: Date): Html {
  if (sweepFinishedAt !== null) {
    return html`${relative(new Date(sweepFinishedAt), at)}${lastStatus === null ? "" : `: ${lastStatus}`}`;
  }
  return sweepStartedAt === null
    ? html`never`
    : html`not yet, began ${relative(new Date(sweepStartedAt), at)}`;
}

/** Nothing where the replicas are not known. */
export function replicasSection({ replicas, ...facts }: PageFacts, build: PageBuild): Html {
  if (replicas === null || replicas.length === 0) return html``;
  const rows = replicas.map((replica) => {
    const { holder, version, fingerprint, upMs, seenAgoMs } = replica;
    const marks = [
      ...(holder === facts.holder ? ["this one"] : []),
      ...(leads(holder, facts) ? ["leads"] : []),
      `version ${version}`,
      `up for ${duration(upMs)}`,
    ];
    const differs = fingerprint === build.fingerprint ? null : "not the same as here";
    return html`<tr><td class="text">${holder}<small>${marks.join(", ")}</small></td><td class="text"><code>${fingerprint}</code><small>${differs}</small></td><td class="number">${duration(seenAgoMs)} ago</td></tr>`;
  });
  return html`<section aria-labelledby="replicas"><h2 id="replicas">Replicas</h2><table><thead><tr><th scope="col">Worker</th><th scope="col">Configuration</th><th scope="col" class="number">Seen</th></tr></thead><tbody>${rows}</tbody></table></section>`;
}

/** Where the runs are divided, that is said of each shard. */
function leads(
  holder: string,
  { leaseHolder, shards }: Pick<PageFacts, "leaseHolder" | "shards">,
): boolean {
  return shards === undefined && holder === leaseHolder;
}

export function processSection(facts: PageFacts, build: PageBuild): Html {
  const { nowMs, startedAtMs, postgres, lease } = facts;
  return html`<section class="half" aria-labelledby="process"><h2 id="process">This process</h2><dl><dt>Version</dt><dd>${build.version}, Node.js ${build.node}</dd><dt>Up for</dt><dd>${duration(nowMs - startedAtMs)}</dd><dt>Configuration</dt><dd><code>${build.fingerprint}</code>, the same on all replicas that agree</dd><dt>Postgres</dt><dd>${answered(postgres)}</dd><dt>Lease store</dt><dd>${answered(lease)}</dd></dl></section>`;
}

function answered(status: DependencyStatus): string {
  if (status === "ok") return "answers";
  return status === "unknown" ? "not asked yet" : status.problem;
}

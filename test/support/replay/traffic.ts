/** What one sweep of a replay asked the API that all runs share. */
import type { FakeHost } from "../../fake-host/fake-host.ts";
import type { RequestKind, SeenRequest } from "../../fake-host/model.ts";
import type { Job } from "./jobs.ts";

export interface ApiTraffic {
  readonly calls: number;
  /** The sandboxes that were asked about. */
  readonly lookups: readonly string[];
  /** The most that were in flight at once. */
  readonly peak: number;
  /** Questions that were asked more often than a renewed key explains. */
  readonly repeated: readonly string[];
}

const API: ReadonlySet<RequestKind> = new Set(["mint", "lookup", "delete"]);

export function isApiCall({ kind }: SeenRequest): boolean {
  return API.has(kind);
}

/** Since the last reset of the host's traffic. */
export function apiTraffic({ traffic }: FakeHost, jobs: readonly Job[]): ApiTraffic {
  const calls = traffic.requests.filter(isApiCall);
  return {
    calls: calls.length,
    lookups: calls.flatMap(({ kind, sandboxIds }) => (kind === "lookup" ? sandboxIds : [])),
    peak: traffic.of("api").peak,
    repeated: repeatedIn(calls, new Map(jobs.map((job) => [job.sandboxId, job]))),
  };
}

/**
 * A refused key is replaced once, and what it was refused for is asked once more. Who was asked about among others may be
 * asked about alone.
 */
function repeatedIn(
  calls: readonly SeenRequest[],
  jobs: ReadonlyMap<string, Job>,
): readonly string[] {
  const minted = new Set(calls.filter(({ kind }) => kind === "mint").map(({ path }) => path));
  const times = new Map<string, number>();
  return calls.flatMap(({ kind, method, path, sandboxIds }) =>
    (kind === "mint" ? [""] : sandboxIds).flatMap((sandboxId) => {
      const question = `${method} ${path} ${sandboxId} ${sandboxIds.length > 1}`;
      const asked = (times.get(question) ?? 0) + 1;
      times.set(question, asked);
      const job = jobs.get(sandboxId);
      const isRenewed = kind === "mint" || (job !== undefined && minted.has(keysPath(job)));
      return asked > (isRenewed ? 2 : 1) ? [question] : [];
    }),
  );
}

function keysPath({ userId, orgId }: Job): string {
  return `/api/service/users/${userId}/orgs/${orgId}/api-keys`;
}

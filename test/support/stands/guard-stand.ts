/** A sweep in memory for tests of the guard: runs with an answer each, and what became of them. */
import type { Evidence } from "../../../src/rules/model.ts";
import { failure } from "./snapshot.ts";
import { sweepStand } from "./sweep-world.ts";

export const GONE: Evidence = { kind: "gone", reason: "missing" };
export const ALIVE: Evidence = { kind: "running", output: "none" };
export const SILENT: Evidence = { kind: "unreachable", failure: failure() };
export const NOT_STALE = { timeoutAtMs: Number.MAX_SAFE_INTEGER / 2 };

export function guardStand() {
  const world = sweepStand();
  const { db, backend, outcomes } = world;
  return {
    ...world,
    seed(count: number, evidence: Evidence, run: Parameters<typeof db.add>[0] = {}) {
      return Array.from({ length: count }, () => {
        const added = db.add(run);
        backend.says(added.id, evidence);
        return added;
      });
    },
    actions() {
      const counts: Record<string, number> = {};
      for (const { action } of outcomes) counts[action] = (counts[action] ?? 0) + 1;
      return counts;
    },
  };
}

/** As if one more observation confirmed it. */
export function suspectOnce(db: ReturnType<typeof sweepStand>["db"], runId: string): void {
  db.suspect(runId, {
    presumedTimes: 1,
    presumedReason: "sandbox missing",
    presumedLastAtMs: db.nowMs() - 60_000,
  });
}

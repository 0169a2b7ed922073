import type { Config } from "../../config/config.ts";
import { systemClock } from "../../io/clock.ts";
import { readEndedElsewhere, readFleet } from "../../io/postgres/diagnosis/fleet.ts";
import { findSampleRun } from "../../io/postgres/diagnosis/sample-run.ts";
import { readSchemaState } from "../../io/postgres/diagnosis/schema-state.ts";
import { readServer } from "../../io/postgres/diagnosis/server.ts";
import { planStalePage } from "../../io/postgres/diagnosis/stale-plan.ts";
import type { Access } from "../../io/postgres/host-schema.ts";
import type { Fact } from "../../rules/doctor/check.ts";
import type { PostgresFacts } from "../../rules/doctor/database.ts";
import type { RunSnapshot } from "../../rules/model.ts";
import type { Log, RunIdName } from "../../watchdog/ports.ts";
import { openDatabase } from "../postgres.ts";
import { untilStopped } from "../until-stopped.ts";

/** What depends on settings. */
export interface Questions {
  /** Of the stale page. */
  readonly limits: { readonly nullDeadlineAfterMs: number; readonly limit: number };
  /** Which ids of a run the backend cannot be asked without. */
  readonly needs: readonly RunIdName[];
  readonly access: Access;
}

export interface Diagnosed {
  readonly facts: Fact<PostgresFacts>;
  /** A run to ask the backend about; `null` where Postgres cannot be asked for one. */
  readonly sample: Fact<RunSnapshot | null> | null;
}

/** Reads only. Rejects with `signal.reason` when aborted. */
export async function diagnosePostgres(
  config: Config["database"],
  { limits, needs, access }: Questions,
  log: Log,
  signal: AbortSignal,
): Promise<Diagnosed> {
  const database = openDatabase(config, 1, log, access);
  const ask = async <T>(question: () => Promise<T>): Promise<Fact<T>> => {
    const fact = await factOf(() => untilStopped(question(), signal));
    signal.throwIfAborted();
    return fact;
  };
  try {
    const server = await ask(() => readServer(database, nowMs));
    if (server.kind === "unknown") return { facts: server, sample: null };
    // In order of dependency, and on one connection: none of it is urgent for the server.
    const schema = await ask(() => readSchemaState(database, access));
    // An observer's statements do without our tables as soon as it is known that they cannot be read.
    if (access === "read") await ask(() => database.columns());
    const plan = await ask(() => planStalePage(database, limits));
    const fleet = await ask(() => readFleet(database));
    const endedElsewhere = await ask(() => readEndedElsewhere(database));
    const sample = await ask(() => findSampleRun(database, needs));
    const value = { server: server.value, schema, plan, fleet, endedElsewhere };
    return { facts: { kind: "known", value }, sample };
  } finally {
    await database.close(0);
  }
}

export function nowMs(): number {
  return systemClock.now().getTime();
}

async function factOf<T>(question: () => Promise<T>): Promise<Fact<T>> {
  try {
    return { kind: "known", value: await question() };
  } catch (error) {
    return { kind: "unknown", why: error instanceof Error ? error.message : String(error) };
  }
}

import type { TestProject } from "vitest/node";
import { PgBouncer } from "./server.ts";
import "../provided.ts";
import { startStartupGate } from "./startup-gate.ts";

const resources = new AsyncDisposableStack();

/** Runs after the services are there: from now on databases are handed out by way of a transaction pooler. */
export async function setup(project: TestProject): Promise<void> {
  const { postgresUrl, pgbouncerProgram } = project.getProvidedContext();
  const { hostname, port } = new URL(postgresUrl);
  const pooler =
    pgbouncerProgram === null
      ? await startStartupGate({ host: hostname, port: Number(port) })
      : await PgBouncer.start(pgbouncerProgram, { upstream: postgresUrl });
  resources.use(pooler);
  project.provide("poolerAddress", { host: pooler.host, port: pooler.port });
}

export async function teardown(): Promise<void> {
  await resources.disposeAsync();
}

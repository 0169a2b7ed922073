import type { TestProject } from "vitest/node";
import { findDocker } from "./docker.ts";
import "./provided.ts";
import { createTemplate, dropNamed, withClient } from "./postgres/server-databases.ts";
import { findPooler, openPostgres, openRedis } from "./services.ts";

const resources = new AsyncDisposableStack();

/** Runs once before the tests that need real services. */
export async function setup(project: TestProject): Promise<void> {
  const given = process.env["TEST_DATABASE_URL"] && process.env["TEST_REDIS_URL"];
  const docker = given ? Promise.resolve(null) : findDocker();
  // Each is torn down even when the other one fails, or is still on its way when it does.
  const opening = [openPostgres(docker, print), openRedis(docker, print)] as const;
  for (const service of opening) {
    resources.defer(async () => (await service.catch(() => null))?.close());
  }
  try {
    const [postgres, redis] = await Promise.all(opening);
    const template = await createTemplate(postgres.url);
    // Before the server: it may be somebody's, who keeps it.
    resources.defer(() => withClient(postgres.url, (admin) => dropNamed(admin, template)));
    const pooler = await findPooler();
    print(`${project.name} tests use ${postgres.label}, ${redis.label} and ${pooler.label}`);
    project.provide("postgresUrl", postgres.url);
    project.provide("templateDatabase", template);
    project.provide("redisUrl", redis.url);
    project.provide("redisProgram", redis.program);
    project.provide("pgbouncerProgram", pooler.program);
  } catch (error) {
    await teardown();
    throw error;
  }
}

export async function teardown(): Promise<void> {
  await resources.disposeAsync();
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

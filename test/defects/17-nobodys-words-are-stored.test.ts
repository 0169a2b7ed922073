import { expect, it } from "vitest";
import { html, json, type Reply, type RequestKind } from "../fake-host/model.ts";
import { createWorld, exitedWith, randomCommandId } from "../support/world/world.ts";

const SECRET = "upstream-secret";
const WORDY: readonly (readonly [RequestKind, Reply])[] = [
  ["mint", html(500, SECRET)],
  ["lookup", json(500, { error: SECRET })],
  ["lookup", html(404, SECRET)],
  ["events", html(502, SECRET)],
  ["events", json(200, { items: [{ kind: SECRET }] })],
  ["delete", html(500, SECRET)],
];

it("neither what others answer nor where they live is stored, and output only up to a bound", async () => {
  await using world = await createWorld();
  const answers = new Map<string, readonly [RequestKind, Reply]>();
  const long = { stderr: "e".repeat(100_000), stdout: "o".repeat(100_000) };
  for (const wordy of WORDY) {
    const bashCommandId = randomCommandId();
    const output = { ...exitedWith(1, { bashCommandId }), ...long };
    const run = await world.seed({ bashCommandId }, { outputs: [output] });
    answers.set(run.userId, wordy);
    answers.set(run.sandboxId ?? "", wordy);
  }
  world.host.intercept(({ kind, path, sandboxId }) => {
    const [about, reply] = answers.get(sandboxId ?? path.split("/")[4] ?? "") ?? [];
    return kind === about ? reply : undefined;
  });

  const report = await world.sweep();

  expect(report.counts).toMatchObject({ undetermined: 5, failed: 1 });
  const rows = await world.database.sql<{ text: string; length: number }[]>`
    SELECT row_to_json(r)::text AS text, length(error_detail) AS length FROM automation_runs r
    UNION ALL SELECT row_to_json(v)::text, NULL FROM watchdog.verdicts v
    UNION ALL SELECT row_to_json(s)::text, NULL FROM watchdog.suspicions s
    UNION ALL SELECT row_to_json(l)::text, NULL FROM watchdog.leadership l`;
  const stored = JSON.stringify([...rows, report]);
  expect(stored).not.toContain(SECRET);
  expect(stored).not.toContain("127.0.0.1");
  expect(rows.flatMap(({ length }) => length ?? [])).toEqual([
    "exit_code=1\nstderr: ".length + 1000 + "\nstdout: ".length + 500,
  ]);
});

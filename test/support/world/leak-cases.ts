/** Runs whose way through a sweep passes secrets and tenants' texts by every place that could let them out. */
import type { FakeHost } from "../../fake-host/fake-host.ts";
import {
  type BashOutput,
  json,
  type Reply,
  type RequestKind,
  type Sandbox,
  type SeenRequest,
} from "../../fake-host/model.ts";
import { type RunSeed, type SeededRun, seedRuns } from "../../fake-host/seed.ts";
import { markedSecret, tenantText } from "./marked-secrets.ts";
import { commandsOf, randomCommandId, type World } from "./world.ts";

export interface LeakCase {
  readonly name: string;
  readonly run?: RunSeed;
  /** `null`: the host has no such sandbox. */
  readonly sandbox?: Partial<Sandbox> | null;
  readonly output?: Omit<BashOutput, "commandId">;
  readonly answers?: Partial<Record<RequestKind, (request: SeenRequest) => Reply>>;
}

/** A careless server: it repeats the question with all its headers, and adds a tenant's text. */
const echo = (status: number) => (request: SeenRequest) =>
  json(status, {
    detail: tenantText("error body"),
    exception: tenantText("exception"),
    request: { headers: request.headers, path: request.path, body: request.body },
  });

const text =
  (body: string, headers = {}) =>
  (): Reply => ({ status: 200, headers, body });

const OUTPUT = { stdout: tenantText("stdout"), stderr: tenantText("stderr") };
const AT_HARD_DEADLINE = { startedAgoMs: 1_500_000 };

export const OUTCOMES: readonly LeakCase[] = [
  { name: "success", output: { exitCode: 0, ...OUTPUT } },
  { name: "failure", output: { exitCode: 2, ...OUTPUT } },
  { name: "kill", output: { exitCode: -1, ...OUTPUT } },
  { name: "partial output", output: { exitCode: null, ...OUTPUT } },
  { name: "still running", run: AT_HARD_DEADLINE, output: { exitCode: null, ...OUTPUT } },
  { name: "no sandbox record", sandbox: null },
  { name: "no agent server", sandbox: { agentUrl: null } },
  {
    name: "restarted agent server",
    sandbox: { uptimeS: 1, commands: [] },
    answers: { event: ({ path }) => json(200, commandEvent(path.split("/").at(-1) ?? "")) },
  },
  { name: "mint refused", answers: { mint: echo(401) } },
  { name: "mint broken", answers: { mint: (request) => ({ ...echo(200)(request) }) } },
  { name: "mint down", answers: { mint: echo(500) } },
  {
    name: "minted key that cannot be sent",
    answers: { mint: () => json(200, { key: `${markedSecret("minted")}\r\nx: y` }) },
  },
  { name: "look-up refused", answers: { lookup: echo(401) } },
  { name: "look-up forbidden", answers: { lookup: echo(403) } },
  { name: "look-up of another shape", answers: { lookup: echo(200) } },
  {
    name: "unknown status",
    answers: { lookup: () => json(200, [{ status: tenantText("status") }]) },
  },
  {
    name: "another sandbox",
    answers: { lookup: () => json(200, [{ id: tenantText("id"), status: "RUNNING" }]) },
  },
  {
    name: "look-up that is no JSON",
    answers: { lookup: text(`<html>${tenantText("page")}${markedSecret("page")}`) },
  },
  {
    name: "look-up in another encoding",
    answers: { lookup: text("1", { "content-encoding": markedSecret("encoding") }) },
  },
  {
    name: "redirect",
    answers: {
      lookup: ({ headers }) => ({
        status: 302,
        headers: { location: `http://127.0.0.1:1/?key=${headers.authorization}` },
      }),
    },
  },
  {
    name: "agent url with a password",
    sandbox: { agentUrl: `http://me:${markedSecret("agent-url")}@127.0.0.1:1/` },
  },
  {
    name: "agent url that nobody answers",
    sandbox: {
      agentUrl: `http://127.0.0.1:1/${markedSecret("agent-path")}?k=${markedSecret("q")}`,
    },
  },
  {
    name: "agent url of no host",
    sandbox: { agentUrl: `http://${markedSecret("agent-host")}.invalid/` },
  },
  { name: "session key that cannot be sent", sandbox: { sessionKey: `${markedSecret("s")}\n` } },
  { name: "session key refused", sandbox: { agentKey: markedSecret("other-session") } },
  { name: "events of another shape", answers: { events: echo(200) } },
  { name: "events down", answers: { events: echo(503) } },
  {
    name: "another command's events",
    answers: {
      events: () =>
        json(200, {
          items: [{ kind: "BashOutput", command_id: tenantText("id"), exit_code: 0, ...OUTPUT }],
        }),
    },
  },
  { name: "events broken off", answers: { events: () => brokenOff() } },
  { name: "clean-up refused", output: { exitCode: 0 }, answers: { delete: echo(500) } },
  { name: "clean-up unknown", output: { exitCode: 0 }, answers: { delete: echo(404) } },
  {
    name: "write refused",
    run: { conversationId: "refuse" },
    output: { exitCode: 3, ...OUTPUT },
  },
  { name: "write swallowed", run: { conversationId: "swallow" }, output: { exitCode: 0 } },
  {
    name: "words from earlier",
    run: {
      errorDetail: tenantText("error_detail"),
      statusDetail: { phase: "execution", detail: tenantText("status_detail") },
    },
    output: { exitCode: 4, ...OUTPUT },
  },
];

/** Makes the host's table refuse and swallow writes, and repeat what was to be written. */
export async function hardenTable({ database: { sql } }: World): Promise<void> {
  await sql.unsafe(`
    CREATE FUNCTION guard_runs() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.conversation_id = 'swallow' THEN RETURN NULL; END IF;
      IF NEW.conversation_id = 'refuse' THEN
        RAISE EXCEPTION 'refused: %', row_to_json(NEW) USING DETAIL = NEW.error_detail,
          HINT = NEW.error_detail;
      END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER guard_runs BEFORE UPDATE ON automation_runs
      FOR EACH ROW EXECUTE FUNCTION guard_runs()`);
}

/** One run of each kind, the first ones longest overdue, with their sandboxes and answers. */
export async function seedOutcomes(world: World): Promise<readonly SeededRun[]> {
  const runs = await seedRuns(
    world.database.sql,
    OUTCOMES.map(({ run }, index) => ({
      bashCommandId: randomCommandId(),
      overdueMs: 3_600_000 - index * 1000,
      automation: {
        name: tenantText("automation name"),
        presetMetadata: { template: { version: tenantText("template") } },
      },
      ...run,
    })),
  );
  for (const [index, { sandbox, output }] of OUTCOMES.entries()) {
    const run = runs[index];
    if (run === undefined || run.sandboxId === null || sandbox === null) continue;
    const { sandboxId: id, userId, orgId, bashCommandId } = run;
    world.host.addSandbox({
      ...{ id, userId, orgId, commands: commandsOf(run), sessionKey: markedSecret("session") },
      outputs: output === undefined ? [] : [{ ...output, commandId: bashCommandId ?? "" }],
      ...sandbox,
    });
  }
  answerAll(world.host, runs);
  return runs;
}

function answerAll(host: FakeHost, runs: readonly SeededRun[]): void {
  host.intercept((request) => {
    const index = runs.findIndex(
      ({ sandboxId, userId }) =>
        request.sandboxId === sandboxId || request.path.includes(`/users/${userId}/`),
    );
    return OUTCOMES[index]?.answers?.[request.kind]?.(request);
  });
}

function commandEvent(id: string): object {
  const timestamp = new Date(Date.now() - 600_000).toISOString();
  return {
    kind: "BashCommand",
    id,
    timestamp,
    command: tenantText("command"),
    cwd: "/",
    timeout: 600,
  };
}

function brokenOff(): Reply {
  async function* body() {
    yield `{"items": [{"stdout": ${JSON.stringify(tenantText("stdout"))}`;
    throw new Error("the connection breaks");
  }
  return { status: 200, headers: { "content-type": "application/json" }, body: body() };
}

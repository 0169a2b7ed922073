/** Traces of the program as it is shipped, and what it loads for them. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { Throwaway } from "../services/throwaway.ts";
import { preloaded } from "../support/process/node-program.ts";
import { runOnce, startWorker } from "../support/process/worker-process.ts";
import { createWorld, exitedWith, randomCommandId } from "../support/world/world.ts";

interface Span {
  readonly name: string;
  readonly id: string;
  readonly parent: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
}

const REGISTER = pathToFileURL(
  join(import.meta.dirname, "..", "support", "process", "register-sdk.ts"),
).href;

/** Says on stderr when the program loads its copy of the API, which has this message in it. */
const TELL_LOADED = preloaded(`
  import { registerHooks } from "node:module";
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const isApi = String(loaded.source).includes("Attempted duplicate registration of API");
      if (isApi && url.includes("/dist/")) process.stderr.write("the API is loaded\\n");
      return loaded;
    },
  });`);

describe("run-watchdog once", () => {
  it("traces a sweep down to its calls when an SDK is registered in its process", async () => {
    await using world = await createWorld();
    const place = await Throwaway.create({ name: "run-watchdog-spans", stopSignal: "TERM" });
    await using resources = new AsyncDisposableStack();
    resources.defer(() => place.dispose());
    const bashCommandId = randomCommandId();
    const run = await world.seed(
      { bashCommandId },
      { outputs: [exitedWith(0, { bashCommandId })] },
    );
    const spansFile = join(place.folder, "spans");
    const env = { ...world.env, SPANS_FILE: spansFile };

    const { code, stderr } = await runOnce(
      { ...env, NODE_OPTIONS: `${TELL_LOADED} --import ${REGISTER}` },
      ["once"],
    );

    expect(code).toBe(0);
    expect(stderr).toContain("the API is loaded");
    const spans = await readSpans(spansFile);
    expect(pathsOf(spans)).toEqual([
      "sweep",
      "sweep > delete",
      "sweep > delete > DELETE delete_sandbox",
      "sweep > verify",
      "sweep > verify > GET bash_events_search",
      "sweep > verify > GET get_sandbox",
      "sweep > verify > POST mint_api_key",
      "sweep > write",
      "sweep > write",
    ]);
    const ofRun = spans.filter(({ attributes }) => attributes["watchdog.run.id"] === run.id);
    expect(ofRun.map(({ name }) => name).toSorted()).toEqual(["delete", "verify", "write"]);
    const text = JSON.stringify(spans);
    for (const secret of [world.host.serviceKey, new URL(world.host.url).port, "127.0.0.1"]) {
      expect(text).not.toContain(secret);
    }
  });

  it("loads nothing for traces when there is no SDK", async () => {
    await using world = await createWorld();
    await world.seed();
    const env = { ...world.env, NODE_OPTIONS: TELL_LOADED };
    const { code, stderr } = await runOnce(env, ["once"]);
    expect(code).toBe(0);
    expect(stderr).not.toContain("the API is loaded");
  });
});

describe("run-watchdog run", () => {
  it("loads nothing for traces when there is no SDK", async () => {
    await using world = await createWorld();
    const env = { ...world.env, NODE_OPTIONS: TELL_LOADED, WATCHDOG_SCHEDULE: "* * * * * *" };
    await using worker = await startWorker({ ...env, LOG_LEVEL: "debug" });
    await worker.waitForLog("sweep finished");
    expect(worker.stderr()).not.toContain("the API is loaded");
  });
});

async function readSpans(file: string): Promise<readonly Span[]> {
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

/** The names from the root to each span, sorted. */
function pathsOf(spans: readonly Span[]): readonly string[] {
  const byId = new Map(spans.map((span) => [span.id, span]));
  const pathOf = ({ name, parent }: Span): string => {
    const above = parent === null ? undefined : byId.get(parent);
    return above === undefined ? name : `${pathOf(above)} > ${name}`;
  };
  return spans.map(pathOf).toSorted();
}

import { describe, expect, it, vi } from "vitest";
import type { Evidence, Failure } from "../../src/rules/model.ts";
import { StoreUnavailableError } from "../../src/watchdog/errors.ts";
import { dryRunSweep } from "../../src/watchdog/lead/dry-run.ts";
import { leadSweep } from "../../src/watchdog/lead/lead-sweep.ts";
import { traced } from "../../src/watchdog/tracing.ts";
import { recordedTracer } from "../support/memory/recorded-tracer.ts";
import { OPTIONS, REQUEST, sweepWorld } from "../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 1, stdout: "a tenant's text", stderr: "" };
const FAILURE: Failure = {
  source: "sandbox_api",
  operation: "get_sandbox",
  kind: "server_error",
  statusCode: 503,
  message: "sandbox_api get_sandbox returned HTTP 503",
  retryAfterMs: null,
};

describe("a traced sweep", () => {
  it("is a span with its epoch, its trigger and what it came to", async () => {
    const { db, sweep, named } = tracedWorld();
    db.add();
    await sweep();
    expect(named("sweep")).toEqual([
      {
        name: "sweep",
        kind: "internal",
        attributes: {
          "watchdog.trigger": "cron",
          "watchdog.dry_run": false,
          "watchdog.epoch": 1,
        },
        end: {
          attributes: {
            "watchdog.sweep.status": "ok",
            "watchdog.sweep.stale": 1,
            "watchdog.sweep.completed": 0,
            "watchdog.sweep.failed": 0,
            "watchdog.sweep.held": 0,
          },
          errorType: null,
        },
      },
    ]);
  });

  it("has a span per question, write and deletion, each with the run's id", async () => {
    const { db, backend, sweep, spans } = tracedWorld();
    const run = db.add();
    backend.says(run.id, EXITED);
    await sweep();
    const id = { "watchdog.run.id": run.id };
    expect(spans.filter(({ attributes }) => attributes["watchdog.run.id"] === run.id)).toEqual([
      {
        name: "verify",
        kind: "internal",
        attributes: id,
        end: { attributes: { "watchdog.evidence": "exited" }, errorType: null },
      },
      {
        name: "write",
        kind: "client",
        attributes: {
          ...id,
          "db.system.name": "postgresql",
          "db.operation.name": "UPDATE",
          "watchdog.write": "apply",
        },
        end: { attributes: { "watchdog.write.result": "written" }, errorType: null },
      },
      {
        name: "delete",
        kind: "internal",
        attributes: id,
        end: { attributes: { "watchdog.cleanup.result": "deleted" }, errorType: null },
      },
    ]);
    expect(JSON.stringify(spans)).not.toContain("tenant");
  });

  const inconclusive: readonly (readonly [evidence: Evidence, errorType: string])[] = [
    [{ kind: "unreachable", failure: FAILURE }, "server_error"],
    [{ kind: "malformed", failure: { ...FAILURE, kind: "unknown" } }, "malformed"],
  ];
  for (const [evidence, errorType] of inconclusive) {
    it(`says ${errorType} of a question whose answer is ${evidence.kind}`, async () => {
      const { db, backend, sweep, named } = tracedWorld();
      backend.says(db.add().id, evidence);
      await sweep();
      const attributes = { "watchdog.evidence": evidence.kind };
      expect(named("verify")).toMatchObject([{ end: { attributes, errorType } }]);
    });
  }

  it("says of a write that Postgres refused it", async () => {
    const { db, backend, store, sweep, named } = tracedWorld();
    const { id } = db.add();
    backend.says(id, EXITED);
    vi.spyOn(store, "apply").mockResolvedValue({ kind: "refused", cause: "a tenant's text" });
    await sweep();
    const writes = named("write").filter(({ attributes }) => attributes["watchdog.run.id"] === id);
    expect(writes).toMatchObject([
      {
        attributes: { "watchdog.write": "apply" },
        end: { attributes: { "watchdog.write.result": "refused" }, errorType: "refused" },
      },
      { attributes: { "watchdog.write": "noteError" }, end: { errorType: null } },
    ]);
  });

  it("says what ended it", async () => {
    const { store, sweep, named } = tracedWorld();
    vi.spyOn(store, "guardFacts").mockRejectedValue(new TypeError("a tenant's text"));
    await sweep();
    expect(named("sweep")).toMatchObject([
      { end: { attributes: { "watchdog.sweep.status": "error" }, errorType: "_OTHER" } },
    ]);
  });

  it("says that a deletion failed", async () => {
    const { db, backend, sweep, named } = tracedWorld();
    const { runId, sandboxId } = db.addVerdict();
    const failure = { kind: "failed", failure: "HTTP 503", retryAfterMs: null } as const;
    backend.cleanupSays(sandboxId ?? "", failure);
    await sweep();
    expect(named("delete")).toMatchObject([
      { attributes: { "watchdog.run.id": runId }, end: { errorType: "failed" } },
    ]);
  });

  it("is no span when another worker holds the lease", async () => {
    const { deps, lease, sweep, spans } = tracedWorld();
    const { installation } = await deps.leadership.read();
    await lease.acquire(installation, "other", 60_000);
    expect(await sweep()).toMatchObject({ kind: "lease-held" });
    expect(spans).toEqual([]);
  });

  it("has no span of a write in a dry run, which writes nothing", async () => {
    const { db, deps, backend, stop, tracing, spans } = tracedWorld();
    backend.says(db.add().id, EXITED);
    await dryRunSweep({ ...deps, watch: {}, tracing }, OPTIONS, REQUEST, stop.signal);
    expect(spans).toMatchObject([
      { name: "verify" },
      { name: "sweep", attributes: { "watchdog.dry_run": true } },
    ]);
    expect(spans[1]?.attributes).not.toHaveProperty("watchdog.epoch");
  });

  it("comes to what it would without spans", async () => {
    const comesTo = async (withSpans: boolean) => {
      const { db, backend, store, sweep } = tracedWorld(withSpans);
      backend.says(db.add().id, EXITED);
      backend.says(db.add().id, { kind: "unreachable", failure: FAILURE });
      db.add();
      vi.spyOn(store, "defer").mockRejectedValueOnce(new StoreUnavailableError("away"));
      const result = await sweep();
      return [result, db.runs, db.verdicts];
    };
    expect(await comesTo(true)).toEqual(await comesTo(false));
  });
});

describe("traced", () => {
  it("leaves every port as it is while nobody listens", () => {
    const { deps } = sweepWorld();
    const ports = traced(deps, null);
    for (const name of ["store", "journal", "backend"] as const) {
      expect(ports[name]).toBe(deps[name]);
    }
  });
});

function tracedWorld(withSpans = true) {
  const world = sweepWorld();
  const recorded = recordedTracer();
  const { deps, stop } = world;
  const tracing = withSpans ? { tracing: recorded.tracing } : {};
  return Object.assign(world, recorded, {
    sweep: () => leadSweep({ ...deps, ...tracing, watch: {} }, OPTIONS, REQUEST, stop.signal),
  });
}

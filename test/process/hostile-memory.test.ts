import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { describe, expect, inject, it } from "vitest";
import { seedRuns } from "../fake-host/seed.ts";
import { createDatabase } from "../services/postgres/database.ts";
import "../services/provided.ts";
import { measureSweep } from "../support/process/measured-sweep.ts";
import { parseDocument } from "../support/process/report-document.ts";

/** More than the sixteen that are verified at once. */
const RUNS = 20;
const ALLOWED_MB = 256;

const SEARCH = "agent_server bash_events_search";

/** How fast the machine is does not matter here: neither the lease nor a question may run out on a busy one. */
const UNHURRIED = {
  WATCHDOG_LEASE_TTL: "5m",
  WATCHDOG_LEASE_RENEW: "10s",
  WATCHDOG_VERIFY_TIMEOUT: "5m",
};

interface Flood {
  /** As flood-host.ts knows it. */
  readonly kind: string;
  readonly action: "completed" | "undetermined";
  readonly reason: string;
}

const floods: readonly Flood[] = [
  { kind: "legal-answers", action: "completed", reason: "exit_code=0" },
  {
    kind: "one-byte-chunks",
    action: "undetermined",
    reason: `${SEARCH}: answered in too many pieces`,
  },
  {
    kind: "large-chunks",
    action: "undetermined",
    reason: `${SEARCH}: answered with too many bytes`,
  },
  {
    kind: "many-elements",
    action: "undetermined",
    reason: `${SEARCH}: answered with too many bytes besides long texts`,
  },
  {
    kind: "endless-extension",
    action: "undetermined",
    reason: `${SEARCH}: answered with too many bytes`,
  },
  {
    kind: "interim-answers",
    action: "undetermined",
    reason: `${SEARCH}: answered with too many interim answers`,
  },
  {
    kind: "endless-headers",
    action: "undetermined",
    reason: `${SEARCH}: transport error: UND_ERR_HEADERS_OVERFLOW`,
  },
];

describe("The built worker at its default settings", () => {
  for (const { kind, action, reason } of floods) {
    it(`stays under ${ALLOWED_MB} MB when sixteen agent servers at once send ${kind}`, async () => {
      await using database = await createDatabase();
      await seedRuns(database.sql, Array(RUNS).fill({}));
      await using host = await startFloodHost(kind);
      const { stdout, peakMb } = await measureSweep(inject("program"), {
        DATABASE_URL: database.url,
        AUTOMATION_OPENHANDS_API_BASE_URL: host.url,
        AUTOMATION_SERVICE_KEY: "service-key",
        ...UNHURRIED,
      });
      const report = parseDocument(stdout);
      const outcomes = report.runs.map((run) => `${run.action}: ${run.reason}`);
      expect(outcomes).toEqual(Array(RUNS).fill(`${action}: ${reason}`));
      expect(peakMb).toBeGreaterThan(0);
      expect(peakMb).toBeLessThan(ALLOWED_MB);
    }, 240_000);
  }
});

async function startFloodHost(kind: string): Promise<AsyncDisposable & { readonly url: string }> {
  const script = join(import.meta.dirname, "flood-host.ts");
  const child = spawn(process.execPath, [script, kind], { stdio: ["pipe", "pipe", "inherit"] });
  const [url] = await once(createInterface({ input: child.stdout }), "line");
  return {
    url: String(url),
    async [Symbol.asyncDispose]() {
      const gone = once(child, "close");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

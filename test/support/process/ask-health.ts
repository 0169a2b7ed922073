import { expect, vi } from "vitest";
import { documentProblems } from "../../report/schema/document-problems.ts";
import { DOCUMENTS, type DocumentName } from "../../report/schema/documents.ts";
import type { WorkerProcess } from "./worker-process.ts";

export interface HealthAnswer {
  readonly status: number;
  readonly body: {
    readonly status: string;
    readonly reasons: readonly string[];
    readonly [field: string]: unknown;
  };
}

/** A statement without an answer is given up after 15 s, and so is the connection made after it. */
const WITHIN_MS = 90_000;

/** What the worker says about itself on `/livez`, `/readyz` or `/health`, held to the schema of its document. */
export async function askHealth(worker: WorkerProcess, path: string): Promise<HealthAnswer> {
  const response = await fetch(`${await worker.healthUrl()}${path}`);
  const body = (await response.json()) as HealthAnswer["body"];
  expect(documentProblems(documentAt(path), body)).toEqual([]);
  return { status: response.status, body };
}

function documentAt(path: string): DocumentName {
  const name = `${path.slice(1)}.json`;
  return Object.hasOwn(DOCUMENTS, name) ? (name as DocumentName) : "health-error.json";
}

export async function untilReady(worker: WorkerProcess): Promise<void> {
  await vi.waitFor(async () => {
    const { status, body } = await askHealth(worker, "/readyz");
    expect({ status, reasons: body.reasons }).toEqual({ status: 200, reasons: [] });
  }, WITHIN_MS);
}

/** Settles when `/readyz` is 503 with such a reason. */
export async function untilNotReady(worker: WorkerProcess, reason: RegExp): Promise<void> {
  await vi.waitFor(async () => {
    const { status, body } = await askHealth(worker, "/readyz");
    expect({ status, text: body.reasons.join("\n") }).toEqual({
      status: 503,
      text: expect.stringMatching(reason),
    });
  }, WITHIN_MS);
}

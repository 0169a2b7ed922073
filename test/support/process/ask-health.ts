import { expect, vi } from "vitest";
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

/** What the worker says about itself on `/livez`, `/readyz` or `/health`. */
export async function askHealth(worker: WorkerProcess, path: string): Promise<HealthAnswer> {
  const response = await fetch(`${await worker.healthUrl()}${path}`);
  return { status: response.status, body: (await response.json()) as HealthAnswer["body"] };
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

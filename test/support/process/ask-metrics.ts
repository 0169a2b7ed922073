import { vi } from "vitest";
import type { WorkerProcess } from "./worker-process.ts";

const WITHIN_MS = 90_000;

export interface MetricsAnswer {
  readonly status: number;
  readonly contentType: string | null;
  readonly text: string;
}

export async function askMetrics(worker: WorkerProcess): Promise<MetricsAnswer> {
  const response = await fetch(`${await worker.healthUrl()}/metrics`);
  const { status, headers } = response;
  return { status, contentType: headers.get("content-type"), text: await response.text() };
}

/** The page, as soon as it is as wanted. */
export async function untilMetrics(
  worker: WorkerProcess,
  isWanted: (text: string) => boolean,
): Promise<string> {
  let text = "";
  await vi.waitFor(async () => {
    text = (await askMetrics(worker)).text;
    if (!isWanted(text)) throw new Error(`not yet:\n${text}`);
  }, WITHIN_MS);
  return text;
}

/** Of a series as it stands in the page, with its labels; `null` when it is not there. */
export function seriesValue(text: string, series: string): number | null {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? null : Number(line.slice(series.length + 1));
}

/**
 * The JSON documents that the program prints and answers with. `npm run docs:schema` writes docs/schema/ from here. A new
 * document needs an entry with the TypeScript type that it is made from, a file name, and `documentProblems` in a test of
 * its command.
 */
import type { z } from "zod";
import { configDocument, doctorDocument } from "./doctor-documents.ts";
import {
  errorDocument,
  healthDocument,
  livezDocument,
  readyzDocument,
  statusDocument,
} from "./health-documents.ts";
import { explainDocument, historyDocument } from "./history-documents.ts";
import { problemReport, sweepReport } from "./sweep-documents.ts";

/** By the name of its file in docs/schema/. */
export const DOCUMENTS = {
  "config.json": { title: "run-watchdog config --json", schema: configDocument },
  "doctor.json": { title: "run-watchdog doctor --json", schema: doctorDocument },
  "explain.json": { title: "run-watchdog explain <run-id> --json", schema: explainDocument },
  "health.json": { title: "GET /health", schema: healthDocument },
  "health-error.json": {
    title: "the health endpoint, where there is no answer to give (404, 405, 500)",
    schema: errorDocument,
  },
  "history.json": { title: "run-watchdog history --json", schema: historyDocument },
  "livez.json": { title: "GET /livez, and run-watchdog healthcheck", schema: livezDocument },
  "once.json": { title: "run-watchdog once --output json", schema: sweepReport },
  "problems.json": {
    title: "any command that prints JSON, when it is refused before its own document",
    schema: problemReport,
  },
  "readyz.json": { title: "GET /readyz", schema: readyzDocument },
  "status.json": { title: "run-watchdog status --json", schema: statusDocument },
} as const satisfies Readonly<
  Record<string, { readonly title: string; readonly schema: z.ZodType }>
>;

export type DocumentName = keyof typeof DOCUMENTS;

import { doctor } from "../../src/commands/doctor.ts";
import type { ProcessContext } from "../../src/commands/process-context.ts";
import type { DoctorDocument } from "../../src/report/doctor/doctor.ts";
import type { Check } from "../../src/rules/doctor/check.ts";
import { parseDocumentOf } from "../support/process/report-document.ts";

export interface DoctorResult {
  readonly exitCode: number;
  readonly document: DoctorDocument;
  /** The one check of that link; throws when there are none or several. */
  of(link: string): Check;
  /** As `link: result`, for comparing all at once. */
  readonly results: readonly string[];
}

/** `run-watchdog doctor --json` inside the test's own process. Holds the document to its schema. */
export async function doctorInProcess(
  env: Readonly<Record<string, string>>,
  readFile: (path: string) => string = () => "",
): Promise<DoctorResult> {
  let text = "";
  const write = (chunk: string) => {
    text += chunk;
    return true;
  };
  // Nothing else of a stream is used.
  const stream = { write } as unknown as NodeJS.WriteStream;
  const context: ProcessContext = {
    ...{ env, readFile, stdout: stream, stderr: stream, appendFile: () => {} },
    ...{ hostname: "test", pid: process.pid, version: "0", nodeVersion: "0" },
  };
  const { signal } = new AbortController();
  const exitCode = await doctor(context, { name: "doctor", json: true }, signal);
  parseDocumentOf("doctor.json", text);
  const document: DoctorDocument = JSON.parse(text);
  return {
    exitCode,
    document,
    results: document.checks.map(({ link, result }) => `${link}: ${result}`),
    of(link) {
      const [check, ...more] = document.checks.filter((each) => each.link === link);
      if (check === undefined || more.length > 0) throw new Error(`${link}: ${text}`);
      return check;
    },
  };
}

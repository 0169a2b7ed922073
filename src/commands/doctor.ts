import { diagnose } from "../app/doctor/doctor.ts";
import { humanDoctor, jsonDoctor } from "../report/doctor/doctor.ts";
import { doctorExitCode } from "../rules/doctor/check.ts";
import type { Log } from "../watchdog/ports.ts";
import type { DoctorCommand } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";

/**
 * Looks at each link of the chain and says what to do about the broken ones.
 *
 * @returns 0 when all is well or only deserves a look, 1 when a link is broken, 2 when the settings cannot be used.
 * @throws signal.reason.
 */
export async function doctor(
  { env, readFile, version, stdout }: ProcessContext,
  { json }: DoctorCommand,
  signal: AbortSignal,
): Promise<number> {
  const { checks, usable } = await diagnose({ env, readFile, version }, NO_LOG, signal);
  const exitCode = doctorExitCode(checks, usable);
  stdout.write(json ? jsonDoctor(checks, exitCode) : humanDoctor(checks));
  return exitCode;
}

/** Whatever is to be said is in the checks. */
const NO_LOG: Log = { debug() {}, info() {}, warn() {}, error() {} };

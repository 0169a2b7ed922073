import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { environment, findProgram, type LocalProgram } from "../local-program.ts";

/** @throws Error saying why there is none on this machine. */
export function findPgBouncer(): Promise<LocalProgram> {
  return findProgram({
    names: ["pgbouncer"],
    package: "pgbouncer",
    companions: [],
    path: "usr/sbin/pgbouncer",
  });
}

/** What it calls itself: `PgBouncer 1.18.0`. */
export async function pgbouncerVersion(program: LocalProgram): Promise<string> {
  const options = { env: environment(program) };
  const { stdout } = await promisify(execFile)(program.command, ["--version"], options);
  return stdout.split("\n")[0] ?? "PgBouncer";
}

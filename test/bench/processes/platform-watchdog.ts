/** The platform's own watchdog, from PyPI: read and run, never copied. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const PACKAGE = "openhands-automation==1.26.0";
const FOLDER = join(
  import.meta.dirname,
  "..",
  "..",
  "..",
  "node_modules",
  ".cache",
  "openhands-automation",
);
/** A gigabyte of packages. */
const WITHIN_MS = 15 * 60_000;
const MOST_OUTPUT = 16 * 1024 * 1024;

const MIGRATE = `
import asyncio
from openhands.automation.app import run_migrations
from openhands.automation.config import get_settings
asyncio.run(run_migrations(get_settings()))
`;

const SWEEP = `
import asyncio
from openhands.automation import watchdog
from openhands.automation.config import get_settings
from openhands.automation.db import create_engine, create_session_factory, set_sqlite_mode
async def main():
    settings = get_settings()
    engine = await create_engine(settings)
    set_sqlite_mode(engine.is_sqlite)
    print(await watchdog.mark_stale_runs(create_session_factory(engine.engine), settings))
    await engine.dispose()
asyncio.run(main())
`;

export interface PlatformApi {
  readonly url: string;
  readonly serviceKey: string;
}

export interface PlatformWatchdog {
  readonly name: string;
  /** Makes the platform's tables, in an empty database. */
  migrate(databaseUrl: string): Promise<void>;
  /** Sweeps once. @returns how many runs it has ended. */
  sweep(databaseUrl: string, api: PlatformApi): Promise<number>;
}

/**
 * With the Python that OPENHANDS_AUTOMATION_PYTHON names, else with one in a folder of our own, which is made with
 * python3 and PyPI the first time.
 *
 * @returns why there is none where it cannot be had.
 */
export async function findPlatformWatchdog(): Promise<PlatformWatchdog | string> {
  try {
    const python = process.env["OPENHANDS_AUTOMATION_PYTHON"] ?? (await install());
    const ask = "import importlib.metadata as m; print(m.version('openhands-automation'))";
    const version = (await run(python, ["-c", ask])).trim();
    return {
      name: `openhands-automation ${version}`,
      async migrate(databaseUrl) {
        await run(python, ["-c", MIGRATE], envOf(databaseUrl, NO_API));
      },
      async sweep(databaseUrl, api) {
        const said = await run(python, ["-c", SWEEP], envOf(databaseUrl, api));
        return Number(said.trim().split("\n").at(-1));
      },
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const NO_API: PlatformApi = { url: "http://127.0.0.1:9", serviceKey: "none" };

function envOf(databaseUrl: string, api: PlatformApi): NodeJS.ProcessEnv {
  const { hostname, port, username, password, pathname } = new URL(databaseUrl);
  return {
    PATH: process.env["PATH"],
    HOME: process.env["HOME"],
    LITELLM_LOCAL_MODEL_COST_MAP: "True",
    AUTOMATION_DB_HOST: hostname,
    AUTOMATION_DB_PORT: port || "5432",
    AUTOMATION_DB_NAME: pathname.slice(1),
    AUTOMATION_DB_USER: decodeURIComponent(username),
    AUTOMATION_DB_PASS: decodeURIComponent(password),
    AUTOMATION_OPENHANDS_API_BASE_URL: api.url,
    AUTOMATION_SERVICE_KEY: api.serviceKey,
  };
}

/** @returns what it printed. @throws Error with the last line of what it said when it fails. */
async function run(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const options = { env, timeout: WITHIN_MS, maxBuffer: MOST_OUTPUT };
  try {
    return (await promisify(execFile)(program, [...args], options)).stdout;
  } catch (cause) {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : "";
    const last = said
      .trim()
      .split("\n")
      .findLast((line) => /^\S*(?:Error|Exception)\b|^ERROR/.test(line));
    throw new Error(`${program} failed: ${last ?? String(cause).split("\n")[0]}`, { cause });
  }
}

/** @returns its Python. */
async function install(): Promise<string> {
  const python = join(FOLDER, "bin", "python");
  const whole = join(FOLDER, "whole");
  if (existsSync(whole)) return python;
  await mkdir(FOLDER, { recursive: true });
  await run("python3", ["-m", "venv", FOLDER]);
  await run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]);
  await writeFile(whole, "");
  return python;
}

import { type Config, ConfigError, type Parsed, parseConfig } from "../../../src/config/config.ts";
import { EnvSecret } from "../../../src/config/env/reloadable-secret.ts";

type Variables = Readonly<Record<string, string | undefined>>;

/** The least that the default backend needs. */
export const MINIMAL_ENV: Variables = {
  DATABASE_URL: "postgres://watchdog:pw@db.example/automations",
  AUTOMATION_OPENHANDS_API_BASE_URL: "https://app.example",
  AUTOMATION_SERVICE_KEY: "service-key",
};

/** Parses the least environment with these changes; `undefined` takes a variable away. */
export function configWith(changes: Variables, files: Variables = {}): Parsed<Config> {
  return parseConfig({ ...MINIMAL_ENV, ...changes }, readerOf(files));
}

/** A configuration or a part of one with what its reloadable parts hold now in their place, to be compared as a whole. */
export function settled(part: object): unknown {
  return JSON.parse(
    JSON.stringify(part, (_, value: unknown) =>
      value instanceof EnvSecret ? value.current : value,
    ),
  );
}

/** What is wrong with that environment; nothing when it parses. */
export function problemsWith(changes: Variables, files: Variables = {}): readonly string[] {
  try {
    configWith(changes, files);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

/** A file system that fails as the real one does. */
export function readerOf(files: Variables): (path: string) => string {
  return (path) => {
    const text = files[path];
    if (text !== undefined) return text;
    throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), {
      code: "ENOENT",
    });
  };
}

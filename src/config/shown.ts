import type { ShownConfig, ShownSetting } from "../rules/doctor/shown-config.ts";
import { type Config, configFingerprint, examineConfig } from "./config.ts";
import type { Env } from "./env/env-reader.ts";
import { SETTINGS, type VariableName } from "./env/settings.ts";
import { shortestIntervalMs } from "./schedule.ts";

const MASK = "***";

export function showConfig(env: Env, readFile: (path: string) => string): ShownConfig {
  const { config, problems, warnings, asked } = examineConfig(env, readFile);
  const names = Object.keys(SETTINGS) as readonly VariableName[];
  return {
    fingerprint: config && configFingerprint(config),
    settings: names.map((name) => ({ ...shownSetting(name, env), used: asked.has(name) })),
    derived: config === null ? [] : derivedFrom(config),
    problems,
    warnings,
  };
}

function shownSetting(name: VariableName, env: Env): Omit<ShownSetting, "used"> {
  const { kind, default: fallback } = SETTINGS[name];
  const isSecret = kind === "secret";
  const inline = isSecret ? env[name] || null : env[name]?.trim() || null;
  if (inline !== null) {
    const value = isSecret || MAY_HOLD_A_PASSWORD.has(name) ? MASK : plain(inline);
    return { name, value, source: "variable", file: null };
  }
  const file = isSecret ? env[`${name}_FILE`]?.trim() || null : null;
  if (file !== null) return { name, value: MASK, source: "file", file: oneLine(file) };
  const value = fallback === null ? null : isSecret ? MASK : String(fallback);
  return { name, value, source: "default", file: null };
}

/** Wherever in it. */
const MAY_HOLD_A_PASSWORD: ReadonlySet<VariableName> = new Set([
  "HTTP_PROXY",
  "http_proxy",
  "HTTPS_PROXY",
  "https_proxy",
  "ALL_PROXY",
  "all_proxy",
] as const);

/** A URL may carry a password before its host and a token in its query; and one may stand where no URL belongs. */
function plain(value: string): string {
  if (value.includes("@")) return MASK;
  const [address = "", query] = value.split(/\?(.*)/s);
  return query === undefined ? oneLine(value) : `${oneLine(address)}?${MASK}`;
}

function oneLine(value: string): string {
  return value.replace(/\p{Cc}/gu, " ");
}

/** What the worker makes of them. */
function derivedFrom({ backend, database, redis, schedule }: Config): ShownConfig["derived"] {
  const { host, port, path, tls } = database.endpoint.current;
  const postgres = path ?? `${host}:${port}`;
  const encryption = typeof tls === "string" ? tls : `verify-${tls.verify}`;
  const store = redis?.current;
  return [
    { name: "backend", value: backend.kind },
    { name: "postgres", value: `${postgres}, TLS ${encryption}` },
    {
      name: "lease",
      value: store
        ? `redis ${store.host}:${store.port}, TLS ${store.tls ? "on" : "off"}`
        : "postgres",
    },
    { name: "shortest interval", value: `${shortestIntervalMs(schedule.pattern) / 1000} s` },
  ];
}

import { isServiceLink, unknownNames } from "./names.ts";
import {
  type NameOf,
  type NumberKind,
  SETTINGS,
  type SecretName,
  type SettingName,
  type VariableName,
} from "./settings.ts";

export type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads variables one by one and collects what is wrong with them, so that all of it can be said at once.
 *
 * A method that finds a problem still returns a value, the default or a blank one. Nobody gets to see it, because the
 * caller must look at `problems` before it uses anything. No message ever quotes a secret or a part of one.
 */
export class EnvReader {
  readonly #env: Env;
  /** For later: what becomes of the process's own variables must not matter then. */
  readonly #copy: Env;
  readonly #readFile: (path: string) => string;
  readonly #findings: Findings;
  /** Path to text, of the files that were read so far. */
  readonly files = new Map<string, string>();

  constructor(env: Env, readFile: (path: string) => string, findings: Findings = noFindings()) {
    this.#env = env;
    this.#copy = { ...env };
    this.#readFile = readFile;
    this.#findings = findings;
  }

  /** A reader for a part of the same configuration: what it finds is found here, and its files are its own. */
  part(): EnvReader {
    return new EnvReader(this.#env, this.#readFile, this.#findings);
  }

  /** A reader of the same variables and of the same files as they are by then, without the problems found so far. */
  again(): EnvReader {
    return new EnvReader(this.#copy, this.#readFile);
  }

  /** Whether a file still holds that. */
  holds(path: string, text: string): boolean {
    try {
      return this.#readFile(path) === text;
    } catch {
      return false;
    }
  }

  get problems(): readonly string[] {
    return this.#findings.problems;
  }

  get warnings(): readonly string[] {
    return this.#findings.warnings;
  }

  /** The variables that were asked for: one that never was has no effect. */
  get asked(): ReadonlySet<VariableName> {
    return this.#findings.asked;
  }

  /** `text` follows the name: "must …, got …". */
  problem(name: VariableName, text: string): void {
    this.#findings.failed.add(name);
    this.#findings.problems.push(`${name} ${text}`);
  }

  warn(text: string): void {
    this.#findings.warnings.push(text);
  }

  /** Whether a problem was found with any of these; what depends on them cannot be judged then. */
  failed(...names: readonly VariableName[]): boolean {
    return names.some((name) => this.#findings.failed.has(name));
  }

  checkNames(): void {
    for (const { name, meant } of unknownNames(this.#env)) {
      if (meant === null) this.warn(`${name} is not a setting of the watchdog, it is ignored`);
      else this.#findings.problems.push(`${name} is not a setting, did you mean ${meant}?`);
    }
  }

  /** Without the blanks around it; the default when unset or empty. */
  text<N extends NameOf<"text">>(name: N): string | (typeof SETTINGS)[N]["default"] {
    return this.#text(name) ?? SETTINGS[name].default;
  }

  /** As it stands, or from the file in `<NAME>_FILE` without the line breaks at its end. */
  secret<N extends SecretName>(name: N): string | (typeof SETTINGS)[N]["default"] {
    const { inline, path } = this.#sourcesOf(name);
    if (path === null) return inline ?? SETTINGS[name].default;
    if (inline !== null) {
      this.problem(name, `must not be set together with ${name}_FILE, unset one of them`);
      return SETTINGS[name].default;
    }
    const text = this.file(
      name,
      `${name}_FILE must name a readable file that holds the secret`,
      path,
    );
    return text === null ? SETTINGS[name].default : text.replace(/[\r\n]+$/, "");
  }

  /** Whether it is given at all, in the one way or the other. */
  hasSecret(name: SecretName): boolean {
    const { inline, path } = this.#sourcesOf(name);
    return inline !== null || path !== null;
  }

  /** What stands in the file; `null`, with a problem of `name` that begins with `must`, when there is nothing. */
  file(name: VariableName, must: string, path: string): string | null {
    let found = "an empty file";
    try {
      const text = this.#readFile(path);
      this.files.set(path, text);
      if (/[^\r\n]/.test(text)) return text;
    } catch (error) {
      // Only the code: a message may quote what was read.
      found = errorCode(error);
    }
    this.#findings.failed.add(name);
    this.#findings.problems.push(`${must}, got ${quoted(path)} (${found})`);
    return null;
  }

  /** A secret that is sent as the value of an HTTP header. */
  headerSecret(name: SecretName): string | null {
    const value = this.secret(name);
    if (value !== null && !/^[\x20-\x7e]*$/.test(value)) {
      this.problem(
        name,
        "must hold only printable ASCII because it is sent in an HTTP header, got another character (often a line break from `echo` without -n)",
      );
    }
    return value;
  }

  duration(name: NameOf<"duration">): number {
    const { default: fallback, min, max } = SETTINGS[name];
    const text = this.#text(name) ?? fallback;
    const ms = parseDuration(text);
    if (ms >= parseDuration(min) && ms <= parseDuration(max)) return ms;
    this.problem(
      name,
      `must be a duration from ${min} to ${max} such as ${fallback} (units ms, s, m, h, d), got ${quoted(text)}`,
    );
    return parseDuration(fallback);
  }

  /** A variable in plain seconds, shared with the host service and read as that does. Returns milliseconds. */
  seconds(name: NameOf<"seconds">): number {
    return this.#number(name, HOST_INTEGER, "a whole number of seconds") * 1_000;
  }

  integer(name: NameOf<"integer">): number {
    return this.#number(name, /^\d+$/, "a whole number");
  }

  decimal(name: NameOf<"decimal">): number {
    return this.#number(name, /^(\d+\.?\d*|\.\d+)$/, "a number");
  }

  /** A service of an unlucky name makes Kubernetes set `X_PORT` to a `tcp://` address: not meant for us. */
  port(name: NameOf<"port" | "port-or-off">): number {
    if (!isServiceLink(this.#text(name) ?? ""))
      return this.#number(name, /^\d+$/, "a whole number");
    const { default: fallback } = SETTINGS[name];
    this.warn(`${name} holds a Kubernetes service link, it is ignored and ${fallback} is used`);
    return fallback;
  }

  /** `null` for `off`. */
  portOrOff(name: NameOf<"port-or-off">): number | null {
    return this.#text(name)?.toLowerCase() === "off" ? null : this.port(name);
  }

  /** In any case, as one of the lower-case words. */
  choice<N extends NameOf<"choice">>(name: N): (typeof SETTINGS)[N]["words"][number] {
    const { default: fallback, words } = SETTINGS[name];
    const text = this.#text(name);
    if (text === null) return fallback;
    const word = words.find((candidate) => candidate === text.toLowerCase());
    if (word === undefined) {
      this.problem(name, `must be one of ${words.join(", ")}, got ${quoted(text)}`);
    }
    return word ?? fallback;
  }

  #text(name: SettingName): string | null {
    this.#findings.asked.add(name);
    return (this.#env[name] ?? "").trim() || null;
  }

  #number(name: NameOf<NumberKind>, shape: RegExp, wanted: string): number {
    const { kind, default: fallback, min, max } = SETTINGS[name];
    const text = this.#text(name);
    if (text === null) return fallback;
    // Adding 0 leaves no negative zero.
    const value = shape.test(text) ? Number(text.replaceAll("_", "")) + 0 : Number.NaN;
    if (value >= min && value <= max) return value;
    const orElse = kind === "port-or-off" ? " or off" : "";
    this.problem(name, `must be ${wanted} from ${min} to ${max}${orElse}, got ${quoted(text)}`);
    return fallback;
  }

  #sourcesOf(name: SecretName): { readonly inline: string | null; readonly path: string | null } {
    this.#findings.asked.add(name);
    return {
      inline: this.#env[name] || null,
      path: (this.#env[`${name}_FILE`] ?? "").trim() || null,
    };
  }
}

/** What was found while the environment was read. */
interface Findings {
  readonly problems: string[];
  readonly warnings: string[];
  readonly failed: Set<VariableName>;
  readonly asked: Set<VariableName>;
}

function noFindings(): Findings {
  return { problems: [], warnings: [], failed: new Set(), asked: new Set() };
}

/** `500ms`, `30s`, `5m`, `24h`, `90d` in milliseconds; NaN for anything else. */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  return Number(amount) * (UNIT_MS.get(unit ?? "") ?? Number.NaN);
}

/** For messages: one line of bounded size, whatever the value holds. */
export function quoted(value: string): string {
  return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
}

/** What the host's settings (pydantic) take for an integer: a sign, `1_000` and `5.0` included. */
const HOST_INTEGER = /^[+-]?\d+(_\d+)*(\.0+)?$/;

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

function errorCode(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : null;
  return typeof code === "string" && /^[A-Z0-9_]+$/.test(code) ? code : "it could not be read";
}

import { type EnvReader, quoted } from "../env/env-reader.ts";
import type { NameOf } from "../env/settings.ts";

/** An http(s) URL to which paths are appended, without slashes at its end; `null` when unset or wrong. */
export function readBaseUrl(reader: EnvReader, name: NameOf<"text">): string | null {
  const text = reader.text(name);
  if (text === null) return null;
  const url = parseHttpUrl(reader, name, text);
  if (url === null) return null;
  if (text.includes("?") || text.includes("#")) {
    reader.problem(name, "must not have a query or fragment, because paths are appended to it");
    return null;
  }
  return url.href.replace(/\/+$/, "");
}

export interface Placeholders {
  readonly needed: string;
  readonly known: readonly string[];
}

/** An http(s) URL with placeholders in path or query, as it was written; `null` when unset or wrong. */
export function readUrlTemplate(
  reader: EnvReader,
  name: NameOf<"text">,
  placeholders: Placeholders,
): string | null {
  const text = reader.text(name);
  if (text === null || parseHttpUrl(reader, name, text) === null) return null;
  const problem = placeholderProblem(text, placeholders);
  if (problem === null) return text;
  reader.problem(name, problem);
  return null;
}

function parseHttpUrl(reader: EnvReader, name: NameOf<"text">, text: string): URL | null {
  const url =
    /^https?:\/\/[^/]/i.test(text) && !/[\s\p{Cc}\\]/u.test(text) ? URL.parse(text) : null;
  if (url === null) {
    reader.problem(name, `must be a URL such as https://host/path, got ${shown(text)}`);
    return null;
  }
  if (url.username !== "" || url.password !== "") {
    reader.problem(
      name,
      "must not have a user or password in it, the key or token has a variable of its own",
    );
    return null;
  }
  return url;
}

function placeholderProblem(text: string, { needed, known }: Placeholders): string | null {
  if (text.includes("#")) return "must not have a fragment, because it is not sent";
  // An id of a run must never choose the host that the token goes to.
  if (/^[^:]*:\/\/[^/?]*[{}]/.test(text)) return "must have placeholders in path or query only";
  const unknown = (text.match(/\{[^{}]*\}?|\}/g) ?? []).find((found) => !known.includes(found));
  if (unknown !== undefined) {
    return `must have no other placeholders than ${known.join(", ")}, got ${quoted(unknown)}`;
  }
  return text.includes(needed) ? null : `must contain ${needed}, got none`;
}

/** People put keys into URLs; the part up to the query is enough to see what is wrong. */
function shown(text: string): string {
  return text.includes("@") ? 'a value with "@"' : quoted(text.split(/[?#]/, 1)[0] ?? "");
}

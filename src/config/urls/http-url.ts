import { placeholderProblem } from "../../rules/network/placeholders.ts";
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

/** An http(s) URL with placeholders in path or query, as it was written; `null` when unset or wrong. */
export function readUrlTemplate(
  reader: EnvReader,
  name: NameOf<"text">,
  [needed, ...others]: readonly [needed: string, ...others: string[]],
): string | null {
  const text = reader.text(name);
  if (text === null || parseHttpUrl(reader, name, text) === null) return null;
  const problem = text.includes("#")
    ? "must not have a fragment, because it is not sent"
    : placeholderProblem(text, [needed, ...others]);
  if (problem === null && text.includes(`{${needed}}`)) return text;
  reader.problem(name, problem ?? `must contain {${needed}}, got none`);
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

/** People put keys into URLs; the part up to the query is enough to see what is wrong. */
function shown(text: string): string {
  return text.includes("@") ? 'a value with "@"' : quoted(text.split(/[?#]/, 1)[0] ?? "");
}

import { placeholderProblem } from "../../rules/network/placeholders.ts";
import { pathSegment, percentEncode } from "../http/call.ts";

const PLACEHOLDER = /\{([^{}]*)\}/g;

/** A URL with placeholders such as `{run_id}`, checked once and filled for every run. */
export interface UrlTemplate<Name extends string> {
  /** `null` when an id cannot be put into a path without changing it. A missing id becomes an empty text. */
  fill(ids: Readonly<Record<Name, string | null>>): URL | null;
}

/**
 * @throws TypeError when the text is no http(s) URL, has placeholders other than `names`, or has one before the path.
 */
export function urlTemplate<Name extends string>(
  text: string,
  names: readonly Name[],
): UrlTemplate<Name> {
  const url = URL.parse(text.replaceAll(PLACEHOLDER, "x"));
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new TypeError("the URL template must be an http or https URL");
  }
  const problem = placeholderProblem(text, names);
  if (problem !== null) throw new TypeError(`the URL template ${problem}`);
  return {
    fill: (ids) => {
      const known = new Map<string, string | null>(names.map((name) => [name, ids[name]]));
      const values = [...known.values()].filter((id) => id !== null && id !== "");
      if (values.some((id) => id !== null && pathSegment(id) === null)) return null;
      return new URL(
        text.replaceAll(PLACEHOLDER, (_, name) => percentEncode(known.get(name) ?? "")),
      );
    },
  };
}

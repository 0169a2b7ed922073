import { pathSegment, percentEncode } from "../http/url.ts";

const PLACEHOLDER = /\{([^{}]*)\}/g;

/** A URL with placeholders such as `{run_id}`, checked once and filled for every run. */
export interface UrlTemplate<Name extends string> {
  /** `null` when an id cannot be put into a path without changing it. A missing id becomes an empty text. */
  fill(ids: Readonly<Record<Name, string | null>>): URL | null;
}

/**
 * @throws TypeError when the text is no http(s) URL, has placeholders other than `names`, or has one before the path:
 * the token goes to a host that the operator named, never to one that a row named.
 */
export function urlTemplate<Name extends string>(
  text: string,
  names: readonly Name[],
): UrlTemplate<Name> {
  checkTemplate(text, names);
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

function checkTemplate(text: string, names: readonly string[]): void {
  const url = URL.parse(text.replaceAll(PLACEHOLDER, "x"));
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new TypeError("the URL template must be an http or https URL");
  }
  const [, authority = ""] = /^\w+:\/*([^/?#]*)/.exec(text) ?? [];
  if (/[{}]/.test(authority)) {
    throw new TypeError("the URL template must not have a placeholder in its host");
  }
  for (const [placeholder, name] of text.matchAll(PLACEHOLDER)) {
    if (name === undefined || names.includes(name)) continue;
    const known = names.map((each) => `{${each}}`).join(", ");
    throw new TypeError(`the URL template must only use ${known}, got "${placeholder}"`);
  }
}

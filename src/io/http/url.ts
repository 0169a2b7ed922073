/** A URL below `base`: its path is kept as a prefix, its query and fragment are dropped. */
export function urlBelow(base: URL, path: string, query: Readonly<Record<string, string>>): URL {
  const url = new URL(base);
  url.pathname = `${base.pathname.replace(/\/+$/, "")}${path}`;
  url.search = new URLSearchParams(query).toString();
  url.hash = "";
  return url;
}

/** `null` for what cannot be one segment of a path: a URL drops `.` and `..`, which would name another resource. */
export function pathSegment(id: string): string | null {
  if (id === "" || id === "." || id === "..") return null;
  return percentEncode(id);
}

/** Lone surrogates cannot be encoded; they become U+FFFD, which names nothing. */
export function percentEncode(id: string): string {
  return encodeURIComponent(id.toWellFormed());
}

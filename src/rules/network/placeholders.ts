/**
 * What is wrong with a URL's placeholders, such as `{run_id}`; goes on after the URL's name. `null` for nothing.
 *
 * None may stand before the path: a token goes to a host that the operator named, never to one that a row named.
 */
export function placeholderProblem(url: string, names: readonly string[]): string | null {
  const [, host = ""] = /^\w+:[/\\]*([^/?#]*)/.exec(url) ?? [];
  if (/[{}]/.test(host)) return "must have placeholders in path or query only";
  const known = names.map((name) => `{${name}}`);
  const unknown = (url.match(/\{[^{}]*\}?|\}/g) ?? []).find((found) => !known.includes(found));
  if (unknown === undefined) return null;
  const found = JSON.stringify(unknown.slice(0, 100));
  return `must have no other placeholders than ${known.join(", ")}, got ${found}`;
}

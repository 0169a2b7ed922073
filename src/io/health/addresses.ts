import { isIP } from "node:net";

const HIDDEN = "<address>";

/**
 * Removes the addresses of the stores from an error's text, for readers of the health endpoint: host names
 * and IP addresses, with or without a port, and paths of sockets. The log keeps them.
 *
 * @param known how the stores are addressed, because servers quote it.
 */
export function withoutAddresses(text: string, known: readonly string[]): string {
  return text
    .replace(
      /\b(connecting to |ENOTFOUND |EAI_AGAIN |Host: |DNS:)[^\s,;]+?(?=[.:]*([\s,;]|$))/g,
      `$1${HIDDEN}`,
    )
    .replace(/[^\s"'(),;]+/g, (word) => {
      const [, bare = "", end = ""] = /^(.*?)([.:]*)$/.exec(word) ?? [];
      return isAddress(bare, known) ? `${HIDDEN}${end}` : word;
    });
}

function isAddress(word: string, known: readonly string[]): boolean {
  return isIP(word) !== 0 || /:\d{1,5}$/.test(word) || known.includes(word);
}

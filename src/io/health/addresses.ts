import { isIP } from "node:net";

const HIDDEN = "<address>";

/**
 * Takes the addresses of the stores out of what an error says, for those who may ask for health and no more: host names
 * and IP addresses, with or without a port, and paths of sockets. The log keeps them.
 *
 * @param known how the stores are addressed, for words of a server that quote it.
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

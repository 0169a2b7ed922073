import { isIP } from "node:net";

/** A host name or an IP address without brackets; no port. Underscores are no DNS, but Compose uses them. */
export function isHost(text: string): boolean {
  return isIP(text) !== 0 || /^[\p{L}\p{N}_-]+(\.[\p{L}\p{N}_-]+)*\.?$/u.test(text);
}

import type { TlsMode } from "../../rules/network/endpoints.ts";

/** For messages. */
export const SSL_MODES = "disable, allow, prefer, require, verify-ca or verify-full";

/**
 * `null` when the word is not known. The words of other drivers' `ssl` parameter are understood too.
 *
 * @param readRootCert `null` when no authority is named; called only when it is needed.
 */
export function sslSetting(
  word: string,
  readRootCert: (() => string | null) | null,
): TlsMode | null {
  const ca = () => readRootCert?.() ?? null;
  switch (word.toLowerCase()) {
    case "":
    case "allow":
    case "prefer":
      return "prefer";
    case "disable":
    case "false":
    case "0":
      return "off";
    case "no-verify":
      return "require";
    case "require":
      // libpq verifies the chain as soon as it is given an authority; silently doing less would be worse.
      return readRootCert === null ? "require" : { verify: "ca", ca: ca() };
    case "verify-ca":
      return { verify: "ca", ca: ca() };
    case "verify-full":
    case "true":
    case "1":
      return { verify: "full", ca: ca() };
    default:
      return null;
  }
}

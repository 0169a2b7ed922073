/**
 * `prefer` tries TLS without verification and falls back to plain; `require` is TLS without verification; `verify`
 * checks the certificate chain (`ca`) and the host name too (`full`). `rootCertPath` null: the runtime's authorities.
 */
export type SslMode =
  | "off"
  | "prefer"
  | "require"
  | { readonly verify: "ca" | "full"; readonly rootCertPath: string | null };

/** For messages. */
export const SSL_MODES = "disable, allow, prefer, require, verify-ca or verify-full";

/** `null` when the word is not known. The words of other drivers' `ssl` parameter are understood too. */
export function sslSetting(word: string, rootCert: string | null): SslMode | null {
  const rootCertPath = rootCert === "system" ? null : rootCert;
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
      return rootCert === null ? "require" : { verify: "ca", rootCertPath };
    case "verify-ca":
      return { verify: "ca", rootCertPath };
    case "verify-full":
    case "true":
    case "1":
      return { verify: "full", rootCertPath };
    default:
      return null;
  }
}

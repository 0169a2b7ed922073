/**
 * Certificates for servers that speak TLS: made once by `certificates/make.sh`, valid from 2020 to 2120, signed by an
 * authority that nobody trusts unless told to. Their keys are no secrets.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";

const FOLDER = join(import.meta.dirname, "certificates");

/** For NODE_EXTRA_CA_CERTS: whoever starts with it trusts the authority. */
export const AUTHORITY_FILE = join(FOLDER, "authority.pem");

/** Lets this process trust the authority, too, until it is disposed of: as NODE_EXTRA_CA_CERTS does from the start. */
export function trustAuthority(): Disposable {
  const ordinary = getCACertificates("default");
  setDefaultCACertificates([...ordinary, readFileSync(AUTHORITY_FILE, "utf8")]);
  return { [Symbol.dispose]: () => setDefaultCACertificates(ordinary) };
}

/**
 * `server` is right for localhost, 127.0.0.1 and ::1; `elsewhere` is made out to elsewhere.example alone; `expired` is
 * right for the same names as `server`, but ended in 2020; `self-signed` is right for them, too, but vouches
 * for itself.
 */
export type CertificateName = "server" | "elsewhere" | "expired" | "self-signed";

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  /** PEM, for `createServer` of node:tls and node:https. */
  readonly cert: string;
  readonly key: string;
}

export function certificate(name: CertificateName): Certificate {
  const certFile = join(FOLDER, `${name}.pem`);
  const keyFile = join(FOLDER, `${name}.key`);
  return {
    certFile,
    keyFile,
    cert: readFileSync(certFile, "utf8"),
    key: readFileSync(keyFile, "utf8"),
  };
}

/** Where the stores are and who we are there: read by config/, connected to by io/. */

/**
 * `prefer` tries TLS without verification and falls back to plain; `require` is TLS without verification; `verify`
 * checks the certificate chain (`ca`) and the host name too (`full`). `ca`: certificates in PEM, `null` for the runtime's
 * authorities.
 */
export type TlsMode =
  | "off"
  | "prefer"
  | "require"
  | { readonly verify: "ca" | "full"; readonly ca: string | null };

export interface Address {
  readonly host: string;
  readonly port: number;
  /** A Unix socket, used instead of host and port; `null` for TCP. */
  readonly path: string | null;
}

export interface PostgresEndpoint extends Address {
  readonly database: string;
  readonly user: string;
  readonly password: string | null;
  readonly tls: TlsMode;
}

export interface RedisEndpoint {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly user: string | null;
  readonly password: string | null;
  /** The number of the logical database. */
  readonly database: number;
}

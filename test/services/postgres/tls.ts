import { chmod, chown, copyFile } from "node:fs/promises";
import { join } from "node:path";
import { type CertificateName, certificate } from "../certificates.ts";
import { Throwaway } from "../throwaway.ts";
import { serverAccount } from "./binaries.ts";
import { type EmbeddedPostgres, startPostgres } from "./embedded-postgres.ts";

export interface TlsPostgres extends AsyncDisposable {
  readonly server: EmbeddedPostgres;
}

/** A server of the test's own that offers TLS. */
export async function startTlsPostgres(name: CertificateName): Promise<TlsPostgres> {
  await using resources = new AsyncDisposableStack();
  const account = await serverAccount();
  const place = await Throwaway.create({
    name: "run-watchdog-postgres-tls",
    parent: "/tmp",
    account,
    stopSignal: "QUIT",
  });
  resources.defer(() => place.dispose());
  const files = { cert: join(place.folder, "cert.pem"), key: join(place.folder, "cert.key") };
  const { certFile, keyFile } = certificate(name);
  await copyFile(certFile, files.cert);
  await copyFile(keyFile, files.key);
  // The server refuses a key that others may read.
  await chmod(files.key, 0o600);
  if (account !== null) await chown(files.key, account.uid, account.gid);
  const server = resources.use(
    await startPostgres({
      settings: { fsync: "off", ssl: "on", ssl_cert_file: files.cert, ssl_key_file: files.key },
    }),
  );
  const opened = resources.move();
  return { server, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

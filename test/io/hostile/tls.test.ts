import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { describe, expect, it } from "vitest";
import type { HttpClientOptions } from "../../../src/io/http/client.ts";
import {
  AUTHORITY_FILE,
  type CertificateName,
  certificate,
  trustAuthority,
} from "../../services/certificates.ts";
import { type Handler, sendJson, startHttpServer } from "../../services/http-server.ts";
import { bashOutput, calm, cloudWorld, runOf } from "../http/world.ts";
import { flood } from "./tables/answers.ts";
import { type Expected, evidenceAt, SEARCH } from "./tables/places.ts";

const honest: Handler = (_, response) => sendJson(response, 200, { items: [bashOutput()] });

/** What is learned from an agent server at this url. */
async function verifyAt(url: string, client: Partial<HttpClientOptions> = {}) {
  await using world = await cloudWorld({
    client,
    routes: {
      lookup: (_, response) => {
        const exposed_urls = [{ name: "AGENT_SERVER", url }];
        sendJson(response, 200, [world.sandbox({ exposed_urls })]);
      },
    },
  });
  return await world.backend.verify(runOf(), calm());
}

/** The same, with an agent server that shows this certificate; `requests` is what it was told. */
async function verifyWith(
  name: CertificateName,
  tls: SecureContextOptions = {},
  handler: Handler = honest,
) {
  await using server = await startHttpServer(handler, { ...certificate(name), ...tls });
  return { evidence: await verifyAt(server.origin), requests: server.requests };
}

function broken(code: string) {
  const what = `transport error: ${code}`;
  return evidenceAt(SEARCH, { kind: "unreachable", failure: "transport", what });
}

interface TlsCase {
  readonly name: string;
  readonly certificate: CertificateName;
  readonly tls?: SecureContextOptions & { readonly requestCert?: boolean };
  readonly code: string;
}

const distrusted: readonly TlsCase[] = [
  {
    name: "a certificate of an authority that nobody trusts",
    certificate: "server",
    code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  },
  {
    name: "a certificate that brings its own authority",
    certificate: "server",
    tls: { cert: certificate("server").cert + readFileSync(AUTHORITY_FILE, "utf8") },
    code: "SELF_SIGNED_CERT_IN_CHAIN",
  },
];

const refused: readonly TlsCase[] = [
  {
    name: "a certificate that vouches for itself",
    certificate: "self-signed",
    code: "DEPTH_ZERO_SELF_SIGNED_CERT",
  },
  { name: "a certificate that has expired", certificate: "expired", code: "CERT_HAS_EXPIRED" },
  {
    name: "a certificate for another host",
    certificate: "elsewhere",
    code: "ERR_TLS_CERT_ALTNAME_INVALID",
  },
  {
    name: "a protocol of the last century",
    certificate: "server",
    tls: { maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" },
    code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
  },
];

describe("A server whose certificate does not hold", () => {
  for (const { name, certificate: shown, tls, code } of distrusted) {
    it(`is not told the session key with ${name}`, async () => {
      const { evidence, requests } = await verifyWith(shown, tls);
      expect(evidence).toEqual(broken(code));
      expect(requests).toEqual([]);
    });
  }

  describe("while its authority is trusted", () => {
    for (const { name, certificate: shown, tls, code } of refused) {
      it(`is not told the session key with ${name}`, async () => {
        using _ = trustAuthority();
        const { evidence, requests } = await verifyWith(shown, tls);
        expect(evidence).toEqual(broken(code));
        expect(requests).toEqual([]);
      });
    }

    it("is told the session key with a certificate that does hold", async () => {
      using _ = trustAuthority();
      const { evidence, requests } = await verifyWith("server");
      expect(evidence).toEqual(SEARCH.learned);
      expect(requests).toMatchObject([{ headers: { "x-session-api-key": "session-1" } }]);
    });

    it("cannot flood inside of TLS either", async () => {
      using _ = trustAuthority();
      const bytes = 128 * 1024;
      const handler = flood("HTTP/1.1 200 ", "x".repeat(10_000));
      await using server = await startHttpServer(handler, certificate("server"));
      const limits = { maxAnswerBytes: bytes };
      const what = `answered with more than ${bytes} bytes`;
      expect(await verifyAt(server.origin, { limits })).toEqual(
        evidenceAt(SEARCH, { kind: "malformed", what }),
      );
    });
  });
});

interface SocketCase {
  readonly name: string;
  readonly onSocket: (socket: Socket) => void;
  readonly expected: Expected;
}

const transport = (code: string): Expected => ({
  kind: "unreachable",
  failure: "transport",
  what: `transport error: ${code}`,
});

const handshakes: readonly SocketCase[] = [
  {
    name: "plain text in the place of a handshake",
    onSocket: (socket) => void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    expected: transport("ERR_SSL_WRONG_VERSION_NUMBER"),
  },
  {
    name: "an end in the place of a handshake",
    onSocket: (socket) => void socket.end(),
    expected: transport("ECONNRESET"),
  },
  {
    name: "a reset in the middle of the handshake",
    onSocket: (socket) => void socket.once("data", () => socket.resetAndDestroy()),
    expected: transport("ECONNRESET"),
  },
  {
    name: "silence in the place of a handshake",
    onSocket: () => {},
    expected: {
      kind: "unreachable",
      failure: "timeout",
      what: "timed out: no connection within 300 ms",
    },
  },
];

describe("A server that does not get as far as a certificate", () => {
  for (const { name, onSocket, expected } of handshakes) {
    it(`cannot be asked through ${name}`, async () => {
      const server = createServer((socket) => onSocket(socket.on("error", () => {})));
      await using _ = await listening(server);
      const address = server.address();
      const port = typeof address === "object" ? address?.port : 0;
      const evidence = await verifyAt(`https://127.0.0.1:${port}`, { connectTimeoutMs: 300 });
      expect(evidence).toEqual(evidenceAt(SEARCH, expected));
    });
  }

  it("cannot be asked in plain text when it speaks TLS", async () => {
    await using server = await startHttpServer(honest, certificate("server"));
    const evidence = await verifyAt(server.origin.replace("https:", "http:"));
    expect(evidence).toEqual(evidenceAt(SEARCH, transport("UND_ERR_SOCKET")));
    expect(server.requests).toEqual([]);
  });
});

async function listening(server: ReturnType<typeof createServer>): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

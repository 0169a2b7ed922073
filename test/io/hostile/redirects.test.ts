import { describe, expect, it } from "vitest";
import { certificate, trustAuthority } from "../../services/certificates.ts";
import { type Handler, sendJson, startHttpServer } from "../../services/http-server.ts";
import { calm, cloudWorld, runOf } from "../http/world.ts";
import { evidenceAt, PLACES, type Place, SEARCH } from "./tables/places.ts";

/** Where to, told in a header. `other` is the origin of another server; `own` the answering server's. */
interface Redirect {
  readonly name: string;
  readonly to: (servers: { readonly other: string; readonly own: string }) => string;
}

const redirects: readonly Redirect[] = [
  { name: "another path", to: () => "/elsewhere" },
  { name: "another path of the same host", to: ({ own }) => `${own}/elsewhere` },
  { name: "a server of this host", to: ({ other }) => `${other}/elsewhere` },
  { name: "a server of this host by its name", to: ({ other }) => named(other, "localhost") },
  { name: "a server of this host in IPv6", to: ({ other }) => named(other, "[::ffff:7f00:1]") },
  { name: "a host without a scheme", to: ({ other }) => other.replace("http:", "") },
  { name: "credentials", to: ({ other }) => other.replace("//", "//user:password@") },
  { name: "a file", to: () => "file:///etc/passwd" },
  { name: "itself", to: () => "" },
];

function named(origin: string, host: string): string {
  return origin.replace("127.0.0.1", host);
}

function returned(place: Place, statusCode: number) {
  const what = `returned HTTP ${statusCode}`;
  return evidenceAt(place, { kind: "malformed", what, statusCode });
}

/** Asks with this answer, which may lead to another server; that one is told what it hears. */
async function askRedirected(place: Place, status: number, { to }: Redirect, header = "location") {
  await using other = await startHttpServer((_, response) => sendJson(response, 200, place.honest));
  const heard: string[] = [];
  const answer: Handler = ({ target, headers }, response) => {
    heard.push(target);
    const location = to({ other: other.origin, own: `http://${headers.host}` });
    response.writeHead(status, { [header]: location }).end(JSON.stringify(place.honest));
  };
  const evidence = await place.ask(answer);
  return { evidence, times: heard.length, elsewhere: other.requests };
}

describe("A server that sends the question elsewhere", () => {
  for (const redirect of redirects) {
    for (const place of PLACES) {
      it(`is not followed to ${redirect.name} from ${place.name}`, async () => {
        const outcome = await askRedirected(place, 302, redirect);
        expect(outcome).toEqual({ evidence: returned(place, 302), times: 1, elsewhere: [] });
      });
    }
  }

  for (const status of [300, 301, 303, 304, 305, 307, 308]) {
    for (const place of PLACES) {
      it(`is not followed with status ${status} from ${place.name}`, async () => {
        const to: Redirect["to"] = ({ other }) => `${other}/elsewhere`;
        const outcome = await askRedirected(place, status, { name: "", to });
        expect(outcome).toEqual({ evidence: returned(place, status), times: 1, elsewhere: [] });
      });
    }
  }

  for (const header of ["location", "content-location", "refresh", "link", "alt-svc"]) {
    it(`is believed in what it says itself, whatever its header ${header} says`, async () => {
      const to: Redirect["to"] = ({ other }) =>
        header === "refresh" ? `0; url=${other}/elsewhere` : `${other}/elsewhere`;
      const outcome = await askRedirected(SEARCH, 200, { name: "", to }, header);
      expect(outcome).toEqual({ evidence: SEARCH.learned, times: 1, elsewhere: [] });
    });
  }
});

describe("A server that speaks TLS and sends the question elsewhere", () => {
  for (const scheme of ["http", "https"] as const) {
    it(`is not followed to ${scheme}`, async () => {
      using _ = trustAuthority();
      const tls = certificate("server");
      const honest: Handler = (_, response) => sendJson(response, 200, SEARCH.honest);
      await using other = await startHttpServer(honest, scheme === "https" ? tls : undefined);
      await using agent = await startHttpServer(
        (_, response) => response.writeHead(307, { location: other.origin }).end(),
        tls,
      );
      await using world = await cloudWorld({
        routes: {
          lookup: (_, response) => {
            const exposed_urls = [{ name: "AGENT_SERVER", url: agent.origin }];
            sendJson(response, 200, [world.sandbox({ exposed_urls })]);
          },
        },
      });
      const evidence = await world.backend.verify(runOf(), calm());
      expect(evidence).toEqual(returned(SEARCH, 307));
      expect(agent.requests).toHaveLength(1);
      expect(other.requests).toEqual([]);
    });
  }
});

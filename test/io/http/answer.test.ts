import { describe, expect, it } from "vitest";
import { type Handler, sendJson } from "../../services/http-server.ts";
import { bashOutput, calm, cloudWorld, fixed, replying, runOf, silent } from "./world.ts";

describe("openHandsCloudBackend's failures", () => {
  const MARK = "tenant-mark";
  const answers: readonly (readonly [name: string, answer: Handler])[] = [
    ["a refusal", replying(401, { detail: MARK })],
    ["a client error", replying(404, { detail: MARK })],
    ["a server error", replying(500, { exception: MARK })],
    ["a redirect", (_, response) => response.writeHead(302, { location: MARK }).end(MARK)],
    ["garbage", (_, response) => response.end(`<html>${MARK}`)],
    ["an unexpected shape", replying(200, [{ [MARK]: MARK }])],
    ["an unknown status", replying(200, [{ status: MARK }])],
    ["a foreign id", replying(200, [{ id: MARK, status: "RUNNING" }])],
    [
      "a foreign event",
      replying(200, { items: [bashOutput({ command_id: `${MARK}-2`, stdout: MARK })] }),
    ],
    [
      "an encoding",
      (_, response) => response.writeHead(200, { "content-encoding": MARK }).end("1"),
    ],
    ["a status text", (_, response) => response.writeHead(418, MARK).end()],
    ["a reset", (_, response) => void response.socket?.resetAndDestroy()],
    [
      "a body that breaks off",
      (_, response) => void response.write(MARK, () => response.socket?.resetAndDestroy()),
    ],
    ["silence", silent],
  ];
  for (const route of ["mint", "lookup", "search", "remove"] as const) {
    for (const [name, answer] of answers) {
      it(`tell nothing secret and nothing of the tenant's after ${name} to ${route}`, async () => {
        await using world = await cloudWorld({
          routes: {
            mint: replying(200, { key: `${MARK}-key` }),
            lookup: (_, response) =>
              sendJson(response, 200, [world.sandbox({ id: undefined, session_api_key: MARK })]),
            [route]: answer,
          },
          options: { serviceKey: fixed(`${MARK}-service`), verifyTimeoutMs: 300 },
        });
        const ids = { sandboxId: MARK, userId: MARK, orgId: MARK };
        const told =
          route === "remove"
            ? await world.backend.cleanup(ids, calm())
            : await world.backend.verify(runOf({ ...ids, bashCommandId: MARK }), calm());
        const text = JSON.stringify(told);
        expect(text).not.toContain(MARK);
        expect(text).not.toContain("127.0.0.1");
        expect(text).not.toContain(String(world.server.port));
      });
    }
  }
});

/**
 * A hostile host in a process of its own: honest about keys and sandboxes, but every agent server answers as its first
 * argument says, the first sixteen of them all at once. Prints its url; the end of stdin ends it.
 */
import process from "node:process";
import { CHUNKED, flood, OK } from "../io/hostile/tables/answers.ts";
import { type Handler, sendJson, startHttpServer } from "../services/http-server.ts";

const AT_ONCE = 16;
const MIB = 1024 * 1024;

const kind = process.argv[2] ?? "";
const allHere = Promise.withResolvers<void>();
let here = 0;

/** Two streams of 1 MiB, each character in six bytes: nothing longer is legal. */
const legal: Handler = ({ target }, response) => {
  const command_id = new URL(target, "http://x").searchParams.get("command_id__eq");
  const stream = "\0".repeat(MIB);
  const output = { kind: "BashOutput", command_id, exit_code: 0, stdout: stream, stderr: stream };
  sendJson(response, 200, { items: [output], next_page_id: null });
};

const many: Handler = (_, response) => {
  response.end(`{"items":[${"[],".repeat(5_000_000)}[]]}`);
};

const FLOODS: Readonly<Record<string, Handler>> = {
  "legal-answers": legal,
  "many-elements": many,
  "one-byte-chunks": flood(`${CHUNKED}1\r\n"\r\n`, "1\r\nx\r\n".repeat(10_000)),
  "large-chunks": flood(`${CHUNKED}1\r\n"\r\n`, `10000\r\n${"x".repeat(65_536)}\r\n`),
  "endless-extension": flood(`${CHUNKED}1;a=`, "x".repeat(65_536)),
  "endless-headers": flood(OK, "x-a: b\r\n".repeat(8000)),
  "interim-answers": flood("", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2500)),
};

await main();

async function main(): Promise<void> {
  const answer = FLOODS[kind];
  if (answer === undefined) throw new Error(`there is no flood ${kind}`);
  await using server = await startHttpServer(async (request, response) => {
    const { method, target } = request;
    const { pathname, searchParams } = new URL(target, "http://x");
    if (method === "POST") return sendJson(response, 200, { key: "sk-oh-1" });
    if (method === "DELETE") return sendJson(response, 200, { success: true });
    if (pathname === "/api/v1/sandboxes") {
      const exposed_urls = [{ name: "AGENT_SERVER", url: `${server.origin}/agent` }];
      const id = searchParams.get("id");
      return sendJson(response, 200, [
        { id, status: "RUNNING", session_api_key: "session-1", exposed_urls },
      ]);
    }
    here += 1;
    if (here === AT_ONCE) allHere.resolve();
    await allHere.promise;
    await answer(request, response);
  });
  process.stdout.write(`${server.origin}\n`);
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.once("end", resolve));
}

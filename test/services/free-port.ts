import { once } from "node:events";
import { createServer } from "node:net";

/** A TCP port that nobody listened on a moment ago. Whoever takes it must be ready to find it taken. */
export async function freePort(host: string): Promise<number> {
  const server = createServer();
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}

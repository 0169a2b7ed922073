/** Whether a Docker engine answers, asked without a client library: loading one takes longer than the answer. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { request } from "node:http";
import { homedir } from "node:os";
import { join } from "node:path";

const PROBE_WITHIN_MS = 3000;

/** @returns `null` when none answers in time. */
export async function findDocker(): Promise<Engine | null> {
  const engines = await Promise.all(
    candidates().map(async (engine) => ((await answers(engine)) ? engine : null)),
  );
  return engines.find((engine) => engine !== null) ?? null;
}

/**
 * Removes a container when this process is gone. Testcontainers has a container of its own for that, which can be
 * switched off; then an interrupted run would leave its containers behind.
 *
 * @returns a function that takes the guard away, and the container with it if it is still there.
 */
export function guardContainer(engine: Engine, id: string): () => void {
  const source = `
    const [engine, id] = process.argv.slice(1);
    const options = { ...JSON.parse(engine), method: "DELETE", path: "/containers/" + id + "?force=true&v=true" };
    process.stdin.resume().on("end", () => {
      require("node:http").request(options, (answer) => answer.resume()).on("error", () => {}).end();
    });`;
  const guard = spawn(process.execPath, ["-e", source, JSON.stringify(engine), id], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.on("error", () => undefined);
  guard.unref();
  return () => void guard.stdin.end();
}

export interface Engine {
  readonly socketPath?: string;
  readonly host?: string;
  readonly port?: number;
}

/** DOCKER_HOST alone when it is set, else the places where engines usually listen. */
function candidates(): readonly Engine[] {
  const configured = process.env["DOCKER_HOST"];
  if (configured) return engineAt(configured);
  const home = homedir();
  const runtime = process.env["XDG_RUNTIME_DIR"] ?? `/run/user/${process.getuid?.() ?? 0}`;
  return [
    "/var/run/docker.sock",
    join(runtime, "docker.sock"),
    join(home, ".docker", "run", "docker.sock"),
    join(home, ".docker", "desktop", "docker.sock"),
  ]
    .filter((path) => existsSync(path))
    .map((socketPath) => ({ socketPath }));
}

function engineAt(address: string): readonly Engine[] {
  if (!URL.canParse(address)) return [];
  const { protocol, pathname, hostname, port } = new URL(address);
  if (protocol === "unix:") return [{ socketPath: pathname }];
  if (protocol === "tcp:" || protocol === "http:") {
    return [{ host: hostname, port: Number(port || 2375) }];
  }
  return [];
}

function answers(engine: Engine): Promise<boolean> {
  return new Promise((resolve) => {
    const question = request({ ...engine, path: "/_ping", timeout: PROBE_WITHIN_MS }, (answer) => {
      answer.resume();
      // An engine behind TLS refuses the plain question, and is there all the same.
      resolve(true);
    });
    const late = setTimeout(() => question.destroy(new Error("no answer")), PROBE_WITHIN_MS);
    question.once("error", () => resolve(false));
    question.once("close", () => clearTimeout(late));
    question.end();
  });
}

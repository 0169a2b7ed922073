/**
 * The program in its image, as a command like any other: `node in-image.ts <image> <arguments>`. It takes the signals,
 * and its container is gone when it has ended, however it ended. The container has this machine's network and no more
 * rights than the manifests give it.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import process from "node:process";
import { SETTINGS } from "../../../src/config/env/settings.ts";

/** Docker does not start before the guard watches it. */
const CLIENT = 'read -r go && exec docker "$@"';
/** The client may still be on its way to the container: removed until nobody waits for it. */
const GUARD = `
cat
while kill -0 "$2"; do docker rm --force "$1"; sleep 0.2; done`;

const [image = "", ...args] = process.argv.slice(2);
const name = `run-watchdog-demo-${randomUUID()}`;
const settings = Object.keys(SETTINGS).filter((setting) => setting in process.env);
const rights = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
const container = ["--rm", "--name", name, "--network", "host", ...rights];
const named = settings.flatMap((setting) => ["--env", setting]);
const run = ["run", ...container, ...named, image, ...args];
const client = spawn("/bin/sh", ["-c", CLIENT, "sh", ...run], {
  stdio: ["pipe", "inherit", "inherit"],
  // Ctrl-C reaches us, and we pass it on.
  detached: true,
});
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => client.kill(signal));
const ended = once(client, "close");
spawn("/bin/sh", ["-c", GUARD, "sh", name, String(client.pid)], {
  detached: true,
  stdio: ["pipe", "ignore", "ignore"],
}).unref();
client.stdin?.end("go\n");
const [exitCode] = await ended;
process.exit(exitCode ?? 1);

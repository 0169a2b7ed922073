/** The built worker as a daemon, followed by its log and its health. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Throwaway } from "../../services/throwaway.ts";
import { usageOf } from "./process-usage.ts";
import { PROGRAM } from "./worker.ts";

const READY_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 5;

export interface Daemon extends AsyncDisposable {
  readonly pid: number;
  /** From the start of the process until it was ready. */
  readonly readyAfterMs: number;
  /** The CPU time until then: a busy machine changes it little. */
  readonly readyCpuMs: number;
  /** What it says of itself: `standby`, once another one was found to lead. */
  role(): Promise<string>;
  /** Ends it without a warning, and settles when it is gone. */
  kill(): Promise<void>;
}

/** @throws Error when it is not ready in time. */
export async function startDaemon(env: Readonly<Record<string, string>>): Promise<Daemon> {
  const place = await Throwaway.create({ name: "run-watchdog-daemon", stopSignal: "TERM" });
  const startedMs = performance.now();
  const child = spawn(process.execPath, [PROGRAM, "run"], {
    cwd: place.folder,
    env: { ...env, WATCHDOG_HEALTH_HOST: "127.0.0.1", WATCHDOG_HEALTH_PORT: "0" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  place.watch(child);
  const exited = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  const dispose = async () => {
    await kill();
    await place.dispose();
  };
  try {
    const url = Promise.withResolvers<string>();
    createInterface({ input: child.stdout }).on("line", (line) => {
      const found = healthIn(line);
      if (found !== null) url.resolve(found);
    });
    const ended = exited.then(() => Promise.reject(new Error("the worker ended")));
    ended.catch(() => {});
    const health = await Promise.race([url.promise, ended]);
    await Promise.race([untilReady(health), ended]);
    const readyAfterMs = performance.now() - startedMs;
    const pid = child.pid ?? 0;
    const { cpuMs: readyCpuMs } = await usageOf(pid);
    const role = () => roleAt(health);
    return { pid, readyAfterMs, readyCpuMs, role, kill, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Whose lease it is: a holder is called `host/pid/random`, and its lease has another random part behind that. */
export function pidIn(holder: string): number {
  return Number(holder.split("/")[1]);
}

/** In its first lines it says where its health can be asked. */
function healthIn(line: string): string | null {
  if (!line.includes('"run-watchdog is up"')) return null;
  const entry: { readonly health: string } = JSON.parse(line);
  return entry.health;
}

async function roleAt(url: string): Promise<string> {
  const response = await fetch(`${url}/health`);
  const { role }: { readonly role: string } = JSON.parse(await response.text());
  return role;
}

async function untilReady(url: string): Promise<void> {
  const untilMs = performance.now() + READY_WITHIN_MS;
  while (performance.now() < untilMs) {
    const { status } = await fetch(`${url}/readyz`).catch(() => ({ status: 0 }));
    if (status === 200) return;
    await sleep(LOOK_EVERY_MS);
  }
  throw new Error(`the worker was to be ready within ${READY_WITHIN_MS} ms`);
}

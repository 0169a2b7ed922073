/**
 * Loaded into a process before its program: the process's wall clock is off by `?ms=`, and time passes as it does. Timers
 * and monotonic time are untouched.
 */
import { pathToFileURL } from "node:url";

const shiftMs = Number(new URL(import.meta.url).searchParams.get("ms") ?? 0);
if (shiftMs !== 0) shiftClock();

/** What a process needs in its environment to have such a clock. */
export function shiftedClock(ms: number): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--import ${pathToFileURL(import.meta.filename).href}?ms=${ms}` };
}

function shiftClock(): void {
  const RealDate = Date;
  const now = () => RealDate.now() + shiftMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    apply: () => new RealDate(now()).toString(),
    get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
  });
}

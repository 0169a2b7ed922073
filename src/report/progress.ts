import { Presets, SingleBar } from "cli-progress";
import { count, counted, duration } from "./words.ts";

export interface Progress {
  begin(total: number): void;
  /** One more run has ended. */
  advance(): void;
  stop(): void;
}

/** What is over sooner needs no bar. */
const SHOWN_AFTER_MS = 1000;

export interface ProgressTime {
  monotonicMs(): number;
  /** @returns what calls it off. */
  after(ms: number, act: () => void): () => void;
}

/** A bar on a terminal as soon as a sweep has taken a second: how many, how fast, how long it will take. */
export function progressBar(stream: NodeJS.WriteStream, time: ProgressTime = REAL_TIME): Progress {
  let bar: SingleBar | null = null;
  let callOff = () => {};
  let ended = 0;
  return {
    begin(total) {
      const beganMs = time.monotonicMs();
      callOff = time.after(SHOWN_AFTER_MS, () => {
        const format = (_: unknown, { value }: { readonly value: number }) =>
          progressLine(value, total, time.monotonicMs() - beganMs);
        const options = { stream, format, hideCursor: true, clearOnComplete: true };
        bar = new SingleBar(options, Presets.shades_classic);
        bar.start(total, ended);
      });
    },
    advance() {
      ended += 1;
      bar?.update(ended);
    },
    stop() {
      callOff();
      bar?.stop();
      bar = null;
    },
  };
}

export const noProgress: Progress = { begin() {}, advance() {}, stop() {} };

const BAR_WIDTH = 16;

/** At most 80 columns: `sweeping █████░░░░░ 1,204 of 5,000 runs, 230 a second, 17 s left` */
export function progressLine(ended: number, total: number, elapsedMs: number): string {
  const filled = total === 0 ? 0 : Math.min(BAR_WIDTH, Math.floor((BAR_WIDTH * ended) / total));
  const bar = `${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)}`;
  const perMs = elapsedMs > 0 ? ended / elapsedMs : 0;
  const rate = perMs === 0 ? "" : `, ${rateText(perMs * 1000)} a second`;
  const left = perMs === 0 || ended >= total ? "" : `, ${leftText((total - ended) / perMs)} left`;
  return `sweeping ${bar} ${count(ended)} of ${counted(total, "run")}${rate}${left}`;
}

function rateText(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond));
}

/** In whole seconds: an estimate that changes ten times a second is hard to read. */
function leftText(ms: number): string {
  return ms < 10_000 ? `${Math.ceil(ms / 1000)} s` : duration(ms);
}

const REAL_TIME: ProgressTime = {
  monotonicMs: () => performance.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

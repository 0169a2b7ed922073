import { Presets, SingleBar } from "cli-progress";

export interface Progress {
  begin(total: number): void;
  /** One more run has ended. */
  advance(): void;
  stop(): void;
}

/** Shorter sweeps are over before a bar could be read. */
const MIN_RUNS = 50;

/** A bar on a terminal, for sweeps that are long enough to be waited for. */
export function progressBar(stream: NodeJS.WriteStream): Progress {
  let bar: SingleBar | null = null;
  return {
    begin(total) {
      if (total < MIN_RUNS) return;
      bar = new SingleBar(
        {
          stream,
          format: "sweeping {bar} {value}/{total} runs, {eta_formatted} left",
          hideCursor: true,
          clearOnComplete: true,
        },
        Presets.shades_classic,
      );
      bar.start(total, 0);
    },
    advance() {
      bar?.increment();
    },
    stop() {
      bar?.stop();
      bar = null;
    },
  };
}

export const noProgress: Progress = { begin() {}, advance() {}, stop() {} };

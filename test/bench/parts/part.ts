import type { Findings } from "../measure/figure.ts";
import type { BenchOptions } from "../options.ts";
import type { Place } from "../place.ts";

/** One subject of the bench. */
export interface Part {
  readonly name: string;
  /** One line: what is measured, against what. */
  readonly title: string;
  /** @throws whatever keeps it from measuring; the other parts go on. */
  measure(bench: Bench): Promise<Findings>;
}

export interface Bench {
  readonly place: Place;
  readonly options: BenchOptions;
  /** Tells what goes on; not part of the result. */
  readonly say: (line: string) => void;
}

import Counter from "prom-client/lib/counter.js";
import Gauge from "prom-client/lib/gauge.js";
import Histogram from "prom-client/lib/histogram.js";
import Registry from "prom-client/lib/registry.js";
import {
  COUNTERS,
  type CounterDefinition,
  type CounterName,
  type Definition,
  GAUGES,
  type GaugeName,
  HISTOGRAMS,
  type HistogramDefinition,
  type HistogramName,
} from "./definitions.ts";

export type Labels = Readonly<Record<string, string>>;

/** A gauge with the value it has now. */
export interface Sample {
  readonly name: GaugeName;
  readonly value: number;
  readonly labels?: Labels;
}

/** What is counted as it happens, and a page with that and with what is so at the moment. One per worker. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #gauges = new Map<string, Gauge>();

  constructor() {
    const registers = [this.#registry];
    const shared = (name: string, { help, labels = [] }: Definition) => {
      return { name, help, labelNames: [...labels], registers };
    };
    for (const [name, definition] of entriesOf<CounterDefinition>(COUNTERS)) {
      const counter = new Counter(shared(name, definition));
      const [label = ""] = definition.labels ?? [];
      for (const value of definition.from ?? []) counter.inc({ [label]: value }, 0);
      this.#counters.set(name, counter);
    }
    for (const [name, definition] of entriesOf<HistogramDefinition>(HISTOGRAMS)) {
      const buckets = [...definition.buckets];
      this.#histograms.set(name, new Histogram({ ...shared(name, definition), buckets }));
    }
    for (const [name, definition] of entriesOf<Definition>(GAUGES)) {
      this.#gauges.set(name, new Gauge(shared(name, definition)));
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  count(name: CounterName, labels: Labels = {}, by = 1): void {
    this.#counters.get(name)?.inc({ ...labels }, by);
  }

  observe(name: HistogramName, ms: number, labels: Labels = {}): void {
    this.#histograms.get(name)?.observe({ ...labels }, ms / 1000);
  }

  /** In the text format of Prometheus. A gauge without a sample is not shown: it is not known. */
  async page(samples: readonly Sample[]): Promise<string> {
    for (const gauge of this.#gauges.values()) {
      gauge.reset();
      // One without labels would be 0.
      gauge.remove({});
    }
    for (const { name, value, labels = {} } of samples) {
      this.#gauges.get(name)?.set({ ...labels }, value);
    }
    return await this.#registry.metrics();
  }
}

function entriesOf<T>(definitions: Readonly<Record<string, T>>): readonly [string, T][] {
  return Object.entries(definitions);
}

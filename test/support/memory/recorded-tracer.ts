import type { SpanEnd, SpanStart, Tracer } from "../../../src/watchdog/ports.ts";

export interface RecordedSpan extends SpanStart {
  /** What it ended with; the error when its work threw. */
  readonly end: SpanEnd | { readonly threw: unknown };
}

/** Spans in the order in which they ended. */
export function recordedTracer() {
  const spans: RecordedSpan[] = [];
  const tracer: Tracer = {
    async span(start, work, endOf) {
      try {
        const result = await work();
        spans.push({ ...start, end: endOf(result) });
        return result;
      } catch (threw) {
        spans.push({ ...start, end: { threw } });
        throw threw;
      }
    },
  };
  return {
    spans,
    tracer,
    tracing: { tracer: async () => tracer },
    named: (name: string) => spans.filter((span) => span.name === name),
  };
}

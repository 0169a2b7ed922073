/** Loaded before the program: registers an SDK for traces, and appends each span to the file that `SPANS_FILE` names. */
import { appendFileSync } from "node:fs";
import process from "node:process";
import { context, trace } from "@opentelemetry/api";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-base";
import { AsyncContexts } from "../async-contexts.ts";

const file = process.env["SPANS_FILE"] ?? "";

const exporter = {
  export(spans: ReadableSpan[], done: (result: { readonly code: number }) => void): void {
    for (const span of spans) {
      const { name, attributes, parentSpanContext } = span;
      const { spanId: id } = span.spanContext();
      const parent = parentSpanContext?.spanId ?? null;
      appendFileSync(file, `${JSON.stringify({ name, id, parent, attributes })}\n`);
    }
    done({ code: 0 });
  },
  shutdown: async () => {},
};

// As in production: spans wait for some seconds before they are sent.
const spanProcessors = [new BatchSpanProcessor(exporter)];
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }));
context.setGlobalContextManager(new AsyncContexts());

import diagnostics from "node:diagnostics_channel";
import { context, trace } from "@opentelemetry/api";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterEach, describe, expect, it, vi } from "vitest";
import { OpenTelemetry } from "../../src/io/tracing.ts";
import { LeaseLostError } from "../../src/watchdog/errors.ts";
import type { SpanStart, Tracer } from "../../src/watchdog/ports.ts";
import { startHttpServer } from "../services/http-server.ts";
import { AsyncContexts } from "../support/async-contexts.ts";
import { recordedLog } from "../support/memory/recorded-log.ts";
import { openClient, replying } from "./http/world.ts";
import { ask } from "./openhands/asking.ts";

const OUTER: SpanStart = {
  name: "verify",
  kind: "internal",
  attributes: { "watchdog.run.id": "1" },
};
const INNER: SpanStart = { name: "GET x", kind: "client", attributes: {} };
const FINE = () => ({ errorType: null });
/** Where all copies of the API look for what one of them has registered. */
const REGISTERED = Symbol.for("opentelemetry.js.api.1");

afterEach(() => {
  trace.disable();
  context.disable();
  Reflect.deleteProperty(globalThis, REGISTERED);
  vi.restoreAllMocks();
});

describe("OpenTelemetry.tracer", () => {
  it("is none while no SDK is registered, and one as soon as there is", async () => {
    const tracing = new OpenTelemetry("1.2.3", recordedLog().log);
    expect(await tracing.tracer()).toBeNull();
    register();
    expect(await tracing.tracer()).not.toBeNull();
    expect(tracing.current).not.toBeNull();
    trace.disable();
    expect(await tracing.tracer()).toBeNull();
    expect(tracing.current).toBeNull();
  });

  for (const version of ["1.9.0", "1.10.0"]) {
    it(`serves an SDK that was registered with version ${version} of the API`, async () => {
      const { exporter } = register();
      Object.assign(Reflect.get(globalThis, REGISTERED), { version });
      await (await open()).span(OUTER, async () => {}, FINE);
      expect(exporter.getFinishedSpans()).toHaveLength(1);
    });
  }
});

describe("OpenTelemetry.flush", () => {
  function provider(forceFlush: () => Promise<void>) {
    const flush = vi.fn(forceFlush);
    const { provider } = register();
    return { flush, provider: Object.assign(provider, { forceFlush: flush }) };
  }

  it("has the SDK send what it still holds", async () => {
    const { flush } = provider(async () => {});
    const tracing = new OpenTelemetry("1.2.3", recordedLog().log);
    await tracing.tracer();
    await tracing.flush();
    expect(flush).toHaveBeenCalledOnce();
  });

  it("asks nobody when no sweep has found an SDK", async () => {
    const { flush } = provider(async () => {});
    await new OpenTelemetry("1.2.3", recordedLog().log).flush();
    expect(flush).not.toHaveBeenCalled();
  });

  it("gives up when that takes too long", async () => {
    provider(() => new Promise(() => {}));
    const tracing = new OpenTelemetry("1.2.3", recordedLog().log);
    await tracing.tracer();
    await tracing.flush(1);
  });

  it("logs that it failed, and goes on", async () => {
    provider(() => Promise.reject(new TypeError("odd")));
    const { log, entries } = recordedLog();
    const tracing = new OpenTelemetry("1.2.3", log);
    await tracing.tracer();
    await tracing.flush();
    expect(entries).toMatchObject([{ level: "warn" }]);
  });
});

describe("a span", () => {
  it("has its name, kind, attributes and parent, and the name and version of the program", async () => {
    const { exporter } = register();
    const tracer = await open();
    const result = await tracer.span(
      OUTER,
      () =>
        tracer.span(
          INNER,
          async () => 7,
          (n) => ({ attributes: { n }, errorType: null }),
        ),
      FINE,
    );
    expect(result).toBe(7);
    const [inner, outer] = exporter.getFinishedSpans();
    expect(outer).toMatchObject({
      ...{ name: "verify", kind: 0, attributes: { "watchdog.run.id": "1" }, status: { code: 0 } },
      instrumentationScope: { name: "run-watchdog", version: "1.2.3" },
    });
    expect(inner).toMatchObject({ name: "GET x", kind: 2, attributes: { n: 7 } });
    expect(inner?.parentSpanContext?.spanId).toBe(outer?.spanContext().spanId);
  });

  it("says which failure its work came to", async () => {
    const { exporter } = register();
    await (await open()).span(
      OUTER,
      async () => {},
      () => ({ errorType: "timeout" }),
    );
    expect(exporter.getFinishedSpans()).toMatchObject([failed("timeout")]);
  });

  it("passes on what its work throws, and tells the name and nothing else of it", async () => {
    const { exporter } = register();
    const tracer = await open();
    const [ours, theirs] = [new LeaseLostError("secret"), new TypeError("a tenant's text")];
    for (const error of [ours, theirs]) {
      await expect(tracer.span(OUTER, () => Promise.reject(error), FINE)).rejects.toBe(error);
    }
    const spans = exporter.getFinishedSpans();
    expect(spans).toMatchObject([failed("LeaseLostError"), failed("_OTHER")]);
    expect(spans.map(({ events, status }) => [events, status.message])).toEqual([
      [[], undefined],
      [[], undefined],
    ]);
  });

  const odd = new TypeError("odd");
  const boom = () => {
    throw odd;
  };
  const broken: readonly (readonly [where: string, spoil: () => void])[] = [
    [
      "when a tracer is asked for",
      () => void vi.spyOn(trace, "getTracer").mockImplementation(boom),
    ],
    ["before the work", () => void vi.spyOn(context, "with").mockImplementation(boom)],
    ["after the work has begun", () => spoilAfter()],
    ["when it ends", () => register({ onEnd: boom })],
    ["when it starts", () => register({ onStart: boom })],
  ];
  for (const [where, spoil] of broken) {
    it(`leaves the work as it is when the SDK throws ${where}, and says so once`, async () => {
      register();
      const { log, entries } = recordedLog();
      const tracer = await open(log);
      spoil();
      const work = vi.fn(async () => 7);
      expect(await tracer.span(OUTER, work, FINE)).toBe(7);
      expect(await tracer.span(OUTER, work, FINE)).toBe(7);
      expect(work).toHaveBeenCalledTimes(2);
      const fields = { err: odd };
      const message = "tracing fails, the work goes on without";
      expect(entries).toEqual([{ level: "warn", message, fields }]);
    });
  }

  it("does work once that throws before it answers", async () => {
    register();
    const { log, entries } = recordedLog();
    const work = vi.fn((): Promise<void> => boom());
    await expect((await open(log)).span(OUTER, work, FINE)).rejects.toBe(odd);
    expect(work).toHaveBeenCalledOnce();
    expect(entries).toEqual([]);
  });

  it("keeps the host's own instrumentation from calls to other systems", async () => {
    const { exporter } = register();
    const tracing = new OpenTelemetry("1.2.3", recordedLog().log);
    const tracer = await tracing.tracer();
    await using server = await startHttpServer(replying(200));
    await using client = openClient({ tracing });
    // What such an instrumentation does for each request that it sees.
    const instrument = () => trace.getTracer("host").startSpan("theirs").end();
    diagnostics.subscribe("undici:request:create", instrument);
    try {
      await ask(client.http, server.origin);
      await tracer?.span(OUTER, async () => instrument(), FINE);
    } finally {
      diagnostics.unsubscribe("undici:request:create", instrument);
    }
    const names = exporter.getFinishedSpans().map(({ name }) => name);
    expect(names).toEqual(["GET bash_events_search", "theirs", "verify"]);
  });
});

interface Spoiled {
  readonly onStart?: () => void;
  readonly onEnd?: () => void;
}

/** As a host does it, in place of what was registered before. */
function register({ onStart, onEnd }: Spoiled = {}) {
  trace.disable();
  context.disable();
  const exporter = new InMemorySpanExporter();
  const processor = new SimpleSpanProcessor(exporter);
  const spoiled = Object.assign(processor, onStart && { onStart }, onEnd && { onEnd });
  const provider = new BasicTracerProvider({ spanProcessors: [spoiled] });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncContexts());
  return { exporter, provider };
}

async function open(log = recordedLog().log): Promise<Tracer> {
  const tracer = await new OpenTelemetry("1.2.3", log).tracer();
  if (tracer === null) throw new Error("no SDK was found");
  return tracer;
}

function spoilAfter(): void {
  const contextWith = context.with.bind(context);
  vi.spyOn(context, "with").mockImplementation((...args) => {
    contextWith(...args);
    throw new TypeError("odd");
  });
}

function failed(errorType: string) {
  return { attributes: { "error.type": errorType }, status: { code: 2 } } satisfies Partial<
    Pick<ReadableSpan, "attributes" | "status">
  >;
}

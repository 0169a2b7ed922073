/**
 * Traces through OpenTelemetry's API. A process that wants them registers an SDK with its own copy of the API; the copy
 * here is loaded when that has happened, and finds the SDK.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Context, Span } from "@opentelemetry/api";
import { errorTypeOf } from "../watchdog/errors.ts";
import type { Log, SpanEnd, SpanStart, Tracer, Tracing } from "../watchdog/ports.ts";

type Api = typeof import("@opentelemetry/api");

/** Under this name all copies of version 1 of the API keep what was registered with one of them. */
const REGISTERED = Symbol.for("opentelemetry.js.api.1");

/** A collector that is away must not keep a process that wants to end. */
const FLUSH_WITHIN_MS = 2000;

/** The SDK's name for it: spans are not recorded and no trace headers are sent while it is set. */
const SUPPRESSED = "OpenTelemetry SDK Context Key SUPPRESS_TRACING";

export class OpenTelemetry implements Tracing {
  readonly #version: string;
  readonly #log: Log;
  /** For calls below a sweep; as of the last look. */
  current: Tracer | null = null;
  #troubled = false;

  constructor(version: string, log: Log) {
    this.#version = version;
    this.#log = log;
  }

  async tracer(): Promise<Tracer | null> {
    this.current = isRegistered() ? await this.#load() : null;
    return this.current;
  }

  /** Sends what the SDK still holds, as far as that is possible in time. Never rejects. */
  async flush(withinMs = FLUSH_WITHIN_MS): Promise<void> {
    if (this.current === null) return;
    const patience = new AbortController();
    const late = sleep(withinMs, undefined, patience).catch(() => {});
    try {
      const { trace } = await import("@opentelemetry/api");
      await Promise.race([flushed(trace.getTracerProvider()), late]);
    } catch (error) {
      this.#trouble(error);
    } finally {
      patience.abort();
    }
  }

  async #load(): Promise<Tracer | null> {
    try {
      const api = await import("@opentelemetry/api");
      return new ApiTracer(api, this.#version, (error) => this.#trouble(error));
    } catch (error) {
      this.#trouble(error);
      return null;
    }
  }

  #trouble(error: unknown): void {
    if (this.#troubled) return;
    this.#troubled = true;
    this.#log.warn({ err: error }, "tracing fails, the work goes on without");
  }
}

function isRegistered(): boolean {
  const registered: unknown = Reflect.get(globalThis, REGISTERED);
  return typeof registered === "object" && registered !== null && "trace" in registered;
}

/** The API has no word for it, and gives a stand-in for what was registered. */
async function flushed(provider: object): Promise<void> {
  const registered: unknown = await called(provider, "getDelegate");
  await called(registered ?? provider, "forceFlush");
}

async function called(owner: unknown, name: string): Promise<unknown> {
  if (typeof owner !== "object" || owner === null) return null;
  const method: unknown = Reflect.get(owner, name);
  return typeof method === "function" ? await Reflect.apply(method, owner, []) : null;
}

class ApiTracer implements Tracer {
  readonly #api: Api;
  readonly #version: string;
  readonly #onTrouble: (error: unknown) => void;

  constructor(api: Api, version: string, onTrouble: (error: unknown) => void) {
    this.#api = api;
    this.#version = version;
    this.#onTrouble = onTrouble;
  }

  async span<T>(
    start: SpanStart,
    work: () => Promise<T>,
    endOf: (result: T) => SpanEnd,
  ): Promise<T> {
    let begun: Promise<T> | null = null;
    // What throws at once must not be taken for trouble of the SDK, which would do the work twice.
    const begin = () => {
      begun ??= Promise.try(work);
      return begun;
    };
    const span = this.#guard(() => this.#begin(start));
    if (!span) return await begin();
    this.#guard(() => this.#api.context.with(this.#below(span, start), begin));
    try {
      const result = await begin();
      this.#end(span, () => endOf(result));
      return result;
    } catch (error) {
      this.#end(span, () => ({ errorType: errorTypeOf(error) }));
      throw error;
    }
  }

  #begin({ name, kind, attributes }: SpanStart): Span {
    const { trace, SpanKind } = this.#api;
    const tracer = trace.getTracer("run-watchdog", this.#version);
    const spanKind = kind === "client" ? SpanKind.CLIENT : SpanKind.INTERNAL;
    return tracer.startSpan(name, { kind: spanKind, attributes: { ...attributes } });
  }

  /**
   * The host's own instrumentation of HTTP sees calls to other systems as well. It would note addresses of sandboxes, and
   * send trace headers into machines that tenants control.
   */
  #below(span: Span, { kind }: SpanStart): Context {
    const { context, createContextKey, trace } = this.#api;
    const inside = trace.setSpan(context.active(), span);
    return kind === "client" ? inside.setValue(createContextKey(SUPPRESSED), true) : inside;
  }

  #end(span: Span, endOf: () => SpanEnd): void {
    this.#guard(() => {
      const { attributes = {}, errorType } = endOf();
      span.setAttributes({ ...attributes });
      if (errorType !== null) {
        span.setAttribute("error.type", errorType);
        span.setStatus({ code: this.#api.SpanStatusCode.ERROR });
      }
    });
    this.#guard(() => span.end());
  }

  /** An SDK and its processors are somebody else's code: a failure of theirs must not reach the work. */
  #guard<T>(call: () => T): T | null {
    try {
      return call();
    } catch (error) {
      this.#onTrouble(error);
      return null;
    }
  }
}

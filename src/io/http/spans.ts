/** A call as a span, by OpenTelemetry's conventions for HTTP, but without the address: tenants' machines have it. */
import type { SpanEnd, SpanStart, Tracer } from "../../watchdog/ports.ts";
import type { HttpAnswer } from "./answer.ts";
import type { HttpCall } from "./call.ts";

/** Whoever listens to traces now; `null` for nobody. */
export interface Listener {
  readonly current: Tracer | null;
}

export function spanOf({ method, source, operation }: HttpCall): SpanStart {
  const attributes = {
    "http.request.method": method,
    "watchdog.source": source,
    "watchdog.operation": operation,
  };
  return { name: `${method} ${operation}`, kind: "client", attributes };
}

export function spanEndOf(answer: HttpAnswer): SpanEnd {
  switch (answer.kind) {
    case "json":
    case "status": {
      const { status } = answer;
      const attributes = { "http.response.status_code": status };
      return { attributes, errorType: status >= 400 ? String(status) : null };
    }
    case "unreachable":
      return { errorType: answer.failure.kind };
    case "malformed":
      return { errorType: answer.kind };
  }
}

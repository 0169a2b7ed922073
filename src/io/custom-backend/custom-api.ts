/** What a backend that somebody else wrote says of its shared API. What breaks the port's promises is as good as unsaid. */
import { z } from "zod";
import type { ApiThrottle, Log, SharedApi } from "../../watchdog/ports.ts";
import { LONGEST_PAUSE_MS } from "../http/response.ts";

const UNTHROTTLED: ApiThrottle = { pausedForMs: 0, concurrency: null };

/** As long as any API is obeyed. */
export const pauseMs = z.number().transform((ms) => Math.max(0, Math.min(ms, LONGEST_PAUSE_MS)));

const throttleShape = z.object({
  pausedForMs: pauseMs,
  concurrency: z.int32().positive().nullable(),
});
const breakerShape = z.enum(["closed", "half-open", "open"]);
const blockedReasonShape = z.string().nullable();

export function customApi(api: SharedApi, log: Log): SharedApi {
  let said = false;
  function attempt<T>(work: () => T, otherwise: T): T {
    try {
      return work();
    } catch (error) {
      // It is asked before every run.
      if (!said) log.error({ err: error }, "the backend's api breaks its promises");
      said = true;
      return otherwise;
    }
  }
  return {
    get throttle() {
      return attempt(() => throttleShape.parse(api.throttle), UNTHROTTLED);
    },
    get breaker() {
      return attempt(() => breakerShape.parse(api.breaker), "closed");
    },
    get blockedReason() {
      return attempt(() => blockedReasonShape.parse(api.blockedReason), null);
    },
    restore: (throttle) => attempt(() => api.restore(throttle), undefined),
  };
}

/** The cloud backend before an app server that answers about several sandboxes at once, or does not. */

import type { HttpClientOptions } from "../../../src/io/http/client.ts";
import type { OpenHandsCloudOptions } from "../../../src/io/openhands/cloud.ts";
import type { Evidence } from "../../../src/rules/model.ts";
import { type SeenRequest, sendJson } from "../../services/http-server.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import {
  bashOutput,
  type CloudWorld,
  calm,
  cloudWorld,
  type Routes,
  runOf,
} from "../http/world.ts";

export interface Lookup {
  readonly ids: readonly string[];
  /** The user whose key it came with. */
  readonly user: string;
}

export interface Reply {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface BatchSetup {
  /** Left out or `undefined`: every sandbox is running. `reset`: the connection breaks. A promise delays it. */
  readonly answer?: (lookup: Lookup) => AnswerTo | Promise<AnswerTo>;
  readonly routes?: Partial<Routes>;
  readonly options?: Partial<OpenHandsCloudOptions>;
  readonly client?: Partial<HttpClientOptions>;
}

type AnswerTo = Reply | "silence" | "reset" | undefined;

export interface BatchWorld extends CloudWorld {
  /** In their order. */
  readonly lookups: Lookup[];
  /** How many each asked about. */
  readonly sizes: () => readonly number[];
  readonly record: (id: string, patch?: object) => object;
  /** Verifies a run in each of these sandboxes, all at the same time. */
  readonly verify: (ids: readonly string[], user?: string) => Promise<readonly Evidence[]>;
}

/** Each sandbox has a key and a server of its own, whose command ended with the number in the sandbox's id. */
export async function batchWorld(setup: BatchSetup = {}): Promise<BatchWorld> {
  const lookups: Lookup[] = [];
  const record = (id: string, patch: object = {}) => {
    const exposed_urls = [{ name: "AGENT_SERVER", url: `${world.server.origin}/agent/${id}` }];
    return { ...world.sandbox({ id, session_api_key: `key-${id}`, exposed_urls }), ...patch };
  };
  const world = await cloudWorld({
    ...(setup.options && { options: setup.options }),
    ...(setup.client && { client: setup.client }),
    routes: {
      mint: ({ target }, response) => {
        const [, user = ""] = /users\/([^/]+)/.exec(target) ?? [];
        sendJson(response, 200, { key: user });
      },
      lookup: async (request, response) => {
        const lookup = lookupIn(request);
        lookups.push(lookup);
        const reply = await setup.answer?.(lookup);
        if (reply === "silence") return;
        if (reply === "reset") return void response.destroy();
        const { status = 200, body = lookup.ids.map((id) => record(id)), headers } = reply ?? {};
        sendJson(response, status, body, headers);
      },
      search: ({ target, headers }, response) => {
        const [, id = ""] = /\/agent\/([^/]+)/.exec(target) ?? [];
        const accepted = headers["x-session-api-key"] === `key-${id}`;
        const items = [bashOutput({ exit_code: numberOf(id) })];
        sendJson(response, accepted ? 200 : 401, { items, next_page_id: null });
      },
      ...setup.routes,
    },
  });
  return Object.assign(world, {
    lookups,
    sizes: () => lookups.map(({ ids }) => ids.length),
    record,
    verify: (ids: readonly string[], userId = "user-1") =>
      Promise.all(
        ids.map((sandboxId) => world.backend.verify(runOf({ sandboxId, userId }), calm())),
      ),
  });
}

/** Time that the test moves, for the gate and the client. */
export function clocked(setup: BatchSetup = {}): BatchSetup & { readonly clock: FakeClock } {
  const clock = new FakeClock();
  return { ...setup, clock, client: { clock }, options: { clock, ...setup.options } };
}

export function idsOf(count: number, from = 0): readonly string[] {
  return Array.from({ length: count }, (_, index) => `s${from + index}`);
}

export function numberOf(id: string): number {
  return Number(id.slice(1));
}

/** What is heard of sandboxes that run. */
export function exits(ids: readonly string[]): readonly object[] {
  return ids.map((id) => ({ kind: "exited", exitCode: numberOf(id) }));
}

function lookupIn({ target, headers }: SeenRequest): Lookup {
  const ids = new URL(target, "http://host").searchParams.getAll("id");
  return { ids, user: headers.authorization?.replace("Bearer ", "") ?? "" };
}

import { describe, expect, it } from "vitest";
import { genericHttpBackend } from "../../../src/io/generic-http/generic-http.ts";
import type { CleanupResult } from "../../../src/watchdog/ports.ts";
import { type Handler, startHttpServer } from "../../services/http-server.ts";
import { calm, clock, cloudWorld, fixed, openClient } from "../http/world.ts";
import {
  DELETION_LIMITS,
  DELETION_WITHIN_MS,
  type Deletion,
  DONE,
  LATE,
  NOT_DONE,
} from "./tables/deletions.ts";
import { MINT_FIELDS } from "./tables/fields.ts";
import { evidenceAt, MINT } from "./tables/places.ts";
import { GARBLED } from "./tables/protocol.ts";

const TARGET = { sandboxId: "s-1", userId: "user-1", orgId: "org-1" };
/** Only what is never complete has to wait for the deadline; a busy machine may need its time for all others. */
const verifyTimeoutOf = ({ failure }: Deletion) => (failure === LATE ? DELETION_WITHIN_MS : 60_000);
const client = { limits: DELETION_LIMITS };

interface Deleter {
  readonly name: string;
  readonly call: string;
  delete(answer: Handler, verifyTimeoutMs: number): Promise<CleanupResult>;
}

const deleters: readonly Deleter[] = [
  {
    name: "the sandbox API",
    call: "sandbox_api delete_sandbox",
    async delete(answer, verifyTimeoutMs) {
      const options = { verifyTimeoutMs };
      await using world = await cloudWorld({ routes: { remove: answer }, options, client });
      return await world.backend.cleanup(TARGET, calm());
    },
  },
  {
    name: "the clean-up endpoint",
    call: "verify_endpoint cleanup",
    async delete(answer, verifyTimeoutMs) {
      await using server = await startHttpServer(answer);
      await using opened = openClient(client);
      const backend = genericHttpBackend({
        http: opened.http,
        verifyUrl: server.origin,
        cleanupUrl: `${server.origin}/sandboxes/{sandbox_id}`,
        token: fixed("token-1"),
        clock,
        concurrency: 16,
        verifyTimeoutMs,
      });
      return await backend.cleanup(TARGET, calm());
    },
  },
];

function resultOf(call: string, { failure, absent = false }: Deletion): CleanupResult {
  if (failure === null) return { kind: "deleted" };
  if (absent) return { kind: "absent", failure: `${call} ${failure}` };
  return { kind: "failed", failure: `${call} ${failure}`, retryAfterMs: null };
}

for (const { name: where, call, delete: send } of deleters) {
  describe(`A deletion at ${where}`, { concurrent: true }, () => {
    for (const deletion of DONE) {
      it(`is done with ${deletion.name}`, async () => {
        expect(await send(deletion.answer, verifyTimeoutOf(deletion))).toEqual(
          resultOf(call, deletion),
        );
      });
    }
    for (const deletion of NOT_DONE) {
      it(`is not done with ${deletion.name}`, async () => {
        expect(await send(deletion.answer, verifyTimeoutOf(deletion))).toEqual(
          resultOf(call, deletion),
        );
      });
    }
  });
}

describe("A deletion whose key is not to be had", () => {
  const mintings = [...GARBLED, ...MINT_FIELDS].filter(({ expected }) => expected !== "honest");
  for (const { name, answer, expected } of mintings) {
    it(`is not sent after ${name}`, async () => {
      await using world = await cloudWorld({ routes: { mint: answer(MINT) } });
      const evidence = evidenceAt(MINT, expected);
      expect(await world.backend.cleanup(TARGET, calm())).toEqual({
        kind: "failed",
        failure: "failure" in evidence ? evidence.failure.message : "",
        retryAfterMs: null,
      });
      expect(world.calls("remove")).toBe(0);
    });
  }
});

import { describe, expect, it } from "vitest";
import type { Failure } from "../../../src/rules/model.ts";
import { ENCODED_BODIES, LARGE, NO_JSON } from "./tables/bodies.ts";
import { ENDS, RESETS } from "./tables/breaks.ts";
import {
  EXIT_CODE_FIELDS,
  LOOKUP_FIELDS,
  MINT_FIELDS,
  SEARCH_FIELDS,
  VERIFY_FIELDS,
} from "./tables/fields.ts";
import {
  type HostileCase,
  IDS,
  LOOKUP,
  MINT,
  PLACES,
  type Place,
  SEARCH,
  SECRETS,
  TENANT_TEXT,
  VERIFY,
} from "./tables/places.ts";
import { CHUNKS, FLOODS, GARBLED, INTERIM, LENGTHS } from "./tables/protocol.ts";
import {
  LOOKUP_TEXTS,
  MINT_TEXTS,
  SEARCH_TEXTS,
  VERIFY_BYTES,
  VERIFY_TEXTS,
} from "./tables/texts.ts";
import { LATE, REFUSED } from "./tables/time.ts";

const EVERYWHERE = [
  GARBLED,
  LENGTHS,
  CHUNKS,
  INTERIM,
  FLOODS,
  NO_JSON,
  ENCODED_BODIES,
  LARGE,
  RESETS,
  ENDS,
  LATE,
  REFUSED,
].flat();

const AT_ONE_PLACE: readonly (readonly [Place, readonly HostileCase[]])[] = [
  [MINT, [MINT_FIELDS, MINT_TEXTS].flat()],
  [LOOKUP, [LOOKUP_FIELDS, LOOKUP_TEXTS].flat()],
  [SEARCH, [SEARCH_FIELDS, SEARCH_TEXTS, EXIT_CODE_FIELDS].flat()],
  [VERIFY, [VERIFY_FIELDS, VERIFY_TEXTS, VERIFY_BYTES].flat()],
];

const QUESTIONS: readonly (readonly [Place, HostileCase])[] = [
  ...PLACES.map((place) => [place, EVERYWHERE] as const),
  ...AT_ONE_PLACE,
].flatMap(([place, cases]) => cases.map((each) => [place, each] as const));

/** Everything the worker ever says after source and operation. Numbers are ours: limits, and statuses of three digits. */
const WORDS = new RegExp(
  `^(${[
    "service_api mint_api_key",
    "sandbox_api get_sandbox",
    "agent_server bash_events_search",
    "verify_endpoint verify",
  ].join("|")}) (${[
    "returned HTTP \\d{3}",
    "timed out: no complete answer within \\d+ ms",
    "transport error: [A-Za-z_]+",
    "answered with something that is not JSON",
    "answered with a content-encoding that was not asked for",
    "answered with more than \\d+ bytes",
    "answered with more than \\d+ bytes besides long texts",
    "answered with more than \\d+ interim answers",
    "answered in more than \\d+ pieces",
    "answered with an unexpected (shape|event)",
    "answered with an unknown sandbox status",
    "answered with a state and an exit code that contradict each other",
    "answered without a usable key",
    "answered about another (sandbox|command)",
  ].join("|")})$`,
);

const FOREIGN = [TENANT_TEXT, ...SECRETS, ...IDS, "127.0.0.1", "localhost", "http:", "/"];

const AT_ONCE = 24;

async function failuresOf(questions: typeof QUESTIONS): Promise<readonly Failure[]> {
  const failures: Failure[] = [];
  for (let from = 0; from < questions.length; from += AT_ONCE) {
    const evidence = await Promise.all(
      questions
        .slice(from, from + AT_ONCE)
        .map(([place, { answer, options }]) => place.ask(answer(place), options)),
    );
    failures.push(...evidence.flatMap((each) => ("failure" in each ? [each.failure] : [])));
  }
  return failures;
}

describe("What the worker says of hostile servers", () => {
  it("holds nothing of what they sent or were sent, whatever it is", async () => {
    const failures = await failuresOf(QUESTIONS);
    expect(failures.length).toBeGreaterThan(400);
    for (const failure of failures) {
      expect(failure.message).toMatch(WORDS);
      const everything = JSON.stringify(failure);
      expect(FOREIGN.filter((text) => everything.includes(text))).toEqual([]);
    }
  }, 180_000);
});

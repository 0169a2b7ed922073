import { describe, expect, it } from "vitest";
import { type Expected, evidenceAt, type HostileCase, PLACES, type Place } from "./places.ts";

export interface TableOptions {
  readonly places?: readonly Place[];
  /** For cases that take seconds. */
  readonly concurrent?: boolean;
}

/** A suite with one test for each answer at each place; the evidence is compared word for word. */
export function hostileTable(
  title: string,
  cases: readonly HostileCase[],
  { places = PLACES, concurrent = false }: TableOptions = {},
): void {
  describe(title, { concurrent }, () => {
    for (const { name, answer, expected, options } of cases) {
      for (const place of places) {
        it(`${whatItDoes(expected)} ${name} at ${place.name}`, async () => {
          const evidence = await place.ask(answer(place), options);
          expect(evidence).toEqual(evidenceAt(place, expected));
        });
      }
    }
  });
}

function whatItDoes(expected: Expected): string {
  if (expected === "honest") return "learns the same from";
  return expected.kind === "learned" ? "understands" : "cannot tell from";
}

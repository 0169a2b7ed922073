/** Schemas that say exactly what a type of TypeScript says, and the pieces that they share. */
import { z } from "zod";

type Mutable<T> = T extends readonly (infer Item)[]
  ? Mutable<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Mutable<T[Key]> }
    : T;

// Not `never` for what is not the same: that would extend `true`.
type Alike<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

/** With a key that may be left out, and without it, types are alike: what it holds is compared as well. */
type Same<A, B> = Alike<A, B> extends true ? Alike<Complete<A>, Complete<B>> : false;

type Complete<T> = T extends readonly (infer Item)[]
  ? Complete<Item>[]
  : T extends object
    ? { [Key in keyof T]-?: Complete<T[Key]> }
    : T;

/** A schema of exactly this type: the compiler refuses one that is wider or narrower, or lacks a key. */
export function schemaOf<T>() {
  return <S extends z.ZodType>(
    schema: S & (Same<z.output<S>, Mutable<T>> extends true ? S : never),
  ) => schema;
}

export const version = z.literal(1);
export const count = z.int().nonnegative();
/** By a clock of ours. */
export const time = z.iso.datetime();
/** Of the host's tables, where anything may stand. */
export const hostTime = z
  .string()
  .describe("ISO 8601 in UTC; as Postgres writes it where no date can hold it, such as infinity");
export const exitCode = count.describe("of the process");
export const reasons = z.array(z.string()).describe("what somebody has to know, the worst first");
export const pause = z
  .strictObject({ until: time, by: z.string(), reason: z.string() })
  .nullable()
  .describe("while nobody sweeps because a person said so");

const causes = z
  .array(
    z.strictObject({
      cause: z.string(),
      count,
      remedy: z.string().nullable().describe("what to do about it, where that is known"),
    }),
  )
  .max(20);

const states = {
  alive: count,
  suspected: count,
  held: count,
  unanswered: count,
  failing: count,
  nextLookAt: time.nullable().describe("when the first of them is looked at again"),
};

/** As it stands in reports. */
export const waitingCounts = z.strictObject(states);
export const waiting = z.strictObject({
  ...states,
  causes: causes.describe("why the unanswered ones are, the most frequent first"),
  failures: causes.describe("why the failing ones are"),
});

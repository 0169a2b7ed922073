import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import type { DocumentName } from "./documents.ts";

export const FOLDER = join(import.meta.dirname, "..", "..", "..", "docs", "schema");

/** What is wrong with a document that a command has printed, by its schema in docs/schema/. */
export function documentProblems(name: DocumentName, document: unknown): readonly string[] {
  const validate = validatorOf(name);
  if (validate(document)) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message}: ${JSON.stringify(params)}`,
  );
}

const validators = new Map<DocumentName, ValidateFunction>();

function validatorOf(name: DocumentName): ValidateFunction {
  const known = validators.get(name);
  if (known !== undefined) return known;
  // Each format stands beside a pattern that says the same.
  const ajv = new Ajv2020({ allErrors: true, formats: { "date-time": true } });
  const validate = ajv.compile(JSON.parse(readFileSync(join(FOLDER, name), "utf8")));
  validators.set(name, validate);
  return validate;
}

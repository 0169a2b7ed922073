/** Secrets and tenants' texts with a marker, by which they are found again in whatever form they get out. */
import type { TestDatabase } from "../../services/postgres/database.ts";

const MARKER = "zq7xk9vw";

/** What only the worker and the other side may know. */
export function markedSecret(name: string): string {
  return `${MARKER}-secret-${name}`;
}

/** What only the host's own tables may hold. */
export function tenantText(name: string): string {
  return `${MARKER} of a tenant: ${name}, "quoted" {${MARKER}}`;
}

/** The fake host makes up its own: the service key, and the keys it mints. */
const FAKE_HOST_KEYS = /svc-[0-9a-f]{8}|sk-oh-[0-9a-f]{8}/;

/** Pieces of `text` around every marker in it, as it is or encoded. */
export function leaksIn(text: string): readonly string[] {
  const forms = [MARKER, ...base64Forms(MARKER), Buffer.from(MARKER).toString("hex")];
  const marked = new RegExp(`${forms.join("|")}|${FAKE_HOST_KEYS.source}`, "gi");
  return [...text.matchAll(marked)].map(({ index }) =>
    text.slice(Math.max(0, index - 60), index + 60),
  );
}

/** Base64 looks different at each of three offsets; the characters at both ends depend on the neighbours. */
function base64Forms(text: string): readonly string[] {
  return [0, 1, 2].map((offset) => {
    const encoded = Buffer.from(" ".repeat(offset) + text).toString("base64");
    const [first, last] = [(offset * 8) / 6, ((offset + text.length) * 8) / 6];
    return encoded.slice(Math.ceil(first), Math.floor(last));
  });
}

/** Everything in the worker's own tables, by their names. */
export async function ownTables({ sql }: TestDatabase): Promise<ReadonlyMap<string, string>> {
  const tables = await sql<{ readonly name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'watchdog'`;
  const contents = new Map<string, string>();
  for (const { name } of tables) {
    const rows = await sql<{ readonly row: string }[]>`
      SELECT row_to_json(t)::text AS row FROM watchdog.${sql(name)} t`;
    contents.set(name, rows.map(({ row }) => row).join("\n"));
  }
  return contents;
}

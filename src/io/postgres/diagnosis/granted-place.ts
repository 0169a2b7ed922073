import type { GrantedPlace } from "../../../rules/doctor/privileges.ts";
import { statement } from "../connection/statement.ts";
import type { Database } from "../database.ts";

interface PlaceRow {
  /** As `table.column`. */
  readonly columns: readonly string[];
  readonly closed: GrantedPlace["closed"];
}

/** By the catalog, which everybody may read. */
const PLACE = statement<Record<never, never>, PlaceRow>(`
  WITH host(name, oid) AS (
    VALUES ('automation_runs', to_regclass('automation_runs')::oid),
      ('automations', to_regclass('automations')::oid)
  ), closed(place, kind, name) AS (
    SELECT 0, 'DATABASE', d.datname::text
    FROM pg_database d
    WHERE d.datname = current_database() AND NOT EXISTS (
      SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) acl
      WHERE acl.grantee = 0 AND acl.privilege_type = 'CONNECT')
    UNION
    SELECT 1, 'SCHEMA', n.nspname::text
    FROM host JOIN pg_class c ON c.oid = host.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT EXISTS (
      SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) acl
      WHERE acl.grantee = 0 AND acl.privilege_type = 'USAGE')
  )
  SELECT
    to_jsonb(ARRAY(SELECT host.name || '.' || a.attname
      FROM host JOIN pg_attribute a ON a.attrelid = host.oid
      WHERE a.attnum > 0 AND NOT a.attisdropped)) AS columns,
    to_jsonb(ARRAY(SELECT jsonb_build_object('kind', kind, 'name', name)
      FROM closed ORDER BY place, name)) AS closed`);

/**
 * What there is to grant on; `null` where the host's tables are not found. Needs no privilege.
 *
 * @throws StoreUnavailableError.
 */
export async function readGrantedPlace(database: Database): Promise<GrantedPlace | null> {
  const [row] = await database.query("looking at the host's tables", PLACE, {});
  if (row === undefined || row.columns.length === 0) return null;
  return { hostColumns: new Set(row.columns), closed: row.closed };
}

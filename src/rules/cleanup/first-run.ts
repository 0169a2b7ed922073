/**
 * The mark that an automation made from a template has had its first outcome. Written by whoever ends that run; the
 * absence of the key is what keeps it single (OpenHands automation, record_first_run).
 *
 * @param metadata `preset_metadata` as text.
 * @param at the database's clock, ISO 8601.
 * @returns the text to store; `null` when there is nothing to record.
 */
export function withFirstRun(metadata: string, outcome: string, at: string): string | null {
  const preset = parseObject(metadata);
  if (preset === null || !("template" in preset) || "first_run" in preset) return null;
  const succeeded = outcome === "COMPLETED";
  const mark = asciiJson({
    status: succeeded ? "success" : "failure",
    failure_stage: succeeded ? null : "watchdog",
    template_version: versionOf(preset["template"]),
    recorded_at: at,
  });
  // Put before the closing brace as text: parsing and writing the whole value would lose what JSON.parse cannot hold.
  const end = metadata.lastIndexOf("}");
  return `${metadata.slice(0, end)}, "first_run": ${mark}${metadata.slice(end)}`;
}

/** The whole text would be refused for a character that the database cannot hold; the host writes it so, too. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function versionOf(template: unknown): unknown {
  if (typeof template !== "object" || template === null) return null;
  return Reflect.get(template, "version") ?? null;
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    return value as Readonly<Record<string, unknown>>;
  } catch {
    return null;
  }
}

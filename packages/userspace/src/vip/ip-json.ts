/** One object that `ip -json` prints. */
export type Row = Readonly<Record<string, unknown>>;

export function parseRows(json: string): readonly Row[] {
  return rows(JSON.parse(json.trim() === "" ? "[]" : json));
}

/** The objects in a value that should be a list of them. */
export function rows(value: unknown): readonly Row[] {
  return Array.isArray(value) ? value.filter((row): row is Row => typeof row === "object" && row !== null) : [];
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** What `--json` prints: a value by lines, with the line break at the end. */
export function renderJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** One entry of a topology that is kept entry by entry, in a store of keys and values. */
export type EntryKey =
  | { readonly kind: "host"; readonly name: string }
  | { readonly kind: "service"; readonly namespace: string; readonly name: string }
  /** The `node:` block. */
  | { readonly kind: "settings" }
  /** Something that serves a service, and says so itself. */
  | { readonly kind: "endpoint"; readonly namespace: string; readonly service: string; readonly id: string };

/** The key below the store's prefix: `hosts/web1`, `services/default/web`, `settings`, `endpoints/default/web/10.5.75.2:3000`. */
export function formatEntryKey(key: EntryKey): string {
  switch (key.kind) {
    case "host":
      return `hosts/${encodeSegment(key.name)}`;
    case "service":
      return `services/${encodeSegment(key.namespace)}/${encodeSegment(key.name)}`;
    case "settings":
      return "settings";
    case "endpoint":
      return ["endpoints", key.namespace, key.service, key.id]
        .map((part, index) => (index === 0 ? part : encodeSegment(part)))
        .join("/");
  }
}

/** @returns undefined where no entry has such a key */
export function parseEntryKey(text: string): EntryKey | undefined {
  const [folder, ...segments] = text.split("/");
  const names = segments.map(decodeSegment);
  const [first, second, third] = names;
  if (names.some((name) => name === undefined || name === "")) return undefined;
  if (folder === "settings" && names.length === 0) return { kind: "settings" };
  if (folder === "hosts" && names.length === 1 && first !== undefined) return { kind: "host", name: first };
  if (first === undefined || second === undefined) return undefined;
  if (folder === "services" && names.length === 2) return { kind: "service", namespace: first, name: second };
  if (folder !== "endpoints" || names.length !== 3 || third === undefined) return undefined;
  return { kind: "endpoint", namespace: first, service: second, id: third };
}

/** What ends a segment, and what a terminal would not show, is written as in a URL. */
export function encodeSegment(name: string): string {
  return name.replace(/[%/\p{Cc}]/gu, (character) => encodeURIComponent(character));
}

/** @returns undefined where an escape means nothing */
export function decodeSegment(segment: string): string | undefined {
  try {
    return segment.includes("%") ? decodeURIComponent(segment) : segment;
  } catch {
    return undefined;
  }
}

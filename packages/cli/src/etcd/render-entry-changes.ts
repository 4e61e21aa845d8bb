import type { EntryChange } from "@svcproxy/agent";

const SIGNS = { add: "+", change: "~", remove: "-" } as const;

/** What a put changes, entry by entry; of one that changes, its lines. Empty where nothing does. */
export function renderEntryChanges(changes: readonly EntryChange[]): string {
  return changes
    .flatMap((change) => [`${SIGNS[change.kind]} ${change.path}`, ...linesOf(change)])
    .map((line) => `${line}\n`)
    .join("");
}

function linesOf({ kind, before = "", after = "" }: EntryChange): readonly string[] {
  if (kind !== "change") return [];
  const [old, now] = [before.trimEnd().split("\n"), after.trimEnd().split("\n")];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  return [
    ...old.slice(start, old.length - end).map((line) => `    - ${line}`),
    ...now.slice(start, now.length - end).map((line) => `    + ${line}`),
  ];
}

/** So much is done in one turn of the event loop: connections wait meanwhile, a few milliseconds. */
const ITEMS_AT_ONCE = 200;

export function* inParts<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  for (let first = 0; first < items.length; first += ITEMS_AT_ONCE) yield items.slice(first, first + ITEMS_AT_ONCE);
}

/** Items that are made when somebody walks through them, and anew for each who does: of a large cluster they are too many to keep. */
export function lazily<Item>(generate: () => Iterator<Item>): Iterable<Item> {
  return { [Symbol.iterator]: generate };
}

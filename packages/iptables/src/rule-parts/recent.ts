import type { Match } from "@svcproxy/rules";

/** `-m recent --name LIST --set`: notes the client's address as seen now. */
export function remember(list: string): Match {
  return { kind: "recent", negated: false, action: "set", name: list, side: "source" };
}

/** `-m recent --name LIST --rcheck --seconds T --reap`: was the client noted within the last T seconds? */
export function isRemembered(list: string, seconds: number): Match {
  return { kind: "recent", negated: false, action: "rcheck", name: list, seconds, reap: true, side: "source" };
}

/**
 * A number of 32 bits as nft prints the priority of a packet: its halves in hexadecimal. Our rules keep it there while a packet is on
 * its way through them: `group:kind` or `group:slot`.
 */
export function classid(high: number, low: number): string {
  return `${high.toString(16)}:${low.toString(16)}`;
}

/**
 * Groups and slots go from 1 to this: with all bits set, nft prints a priority as `root`, and with none as `none`.
 */
export const MAX_NUMBER = 0xfffe;

/** The halves of a number that nft printed; undefined where it is something else. */
export function parseClassid(text: string): { readonly high: number; readonly low: number } | undefined {
  const [, high, low] = /^([0-9a-f]{0,4}):([0-9a-f]{0,4})$/.exec(text) ?? [];
  if (high === undefined || low === undefined) return undefined;
  return { high: Number.parseInt(high || "0", 16), low: Number.parseInt(low || "0", 16) };
}

import { endpointsOf, PROTOCOLS, stickyEndpointsOf } from "../compile/collections.ts";
import { parsePickingChainName } from "../compile/picking-chains.ts";
import { classid, parseClassid } from "../table/classid.ts";
import type { NftTable } from "../table/nft-table.ts";

/** Those that hold numbers of groups and slots, and nothing else that counts. */
const NUMBERED = new Set([
  "services",
  "nodeports",
  "groups",
  "local-groups",
  "slots",
  "usable-slots",
  ...PROTOCOLS.flatMap((protocol) => [endpointsOf(protocol), stickyEndpointsOf(protocol)]),
]);

/** What a table does with packets, line by line, without a word on which numbers groups and slots have, or on what nothing leads to. */
export function meaningOf(table: NftTable): readonly string[] {
  const lines: string[] = [];
  /** Addresses that some frontend leads to, and frontends that only some clients may use. */
  const reached = new Set<string>();
  const restricted = new Set<string>();
  const at = (collection: string, key: string) => table.elements.get(collection)?.get(key)?.data;
  const groupText = (number: number) => {
    const chain = at("groups", classid(number, 0))?.replace("goto ", "");
    if (chain === undefined) return "nobody";
    const picking = parsePickingChainName(chain);
    if (picking === undefined || !table.chains.some(({ name }) => name === chain)) return `unknown ${chain}`;
    const endpoints = Array.from({ length: picking.count }, (_, index) => {
      const place = `${classid(number, 0)} . ${index}`;
      if (picking.kind === "anew") return at(endpointsOf(picking.protocol), place);
      const slot = at("slots", place) ?? "";
      const isUsable = at("usable-slots", slot) !== undefined;
      return isUsable ? PROTOCOLS.map((each) => at(stickyEndpointsOf(each), slot) ?? "").join("|") : undefined;
    });
    for (const endpoint of endpoints) reached.add(endpoint?.replaceAll("|", "").split(" . ")[0] ?? "");
    const kind = picking.kind === "anew" ? picking.protocol : `sticky for ${picking.timeoutSeconds}`;
    return `${kind} among ${endpoints
      .map((endpoint) => endpoint ?? "missing")
      .sort()
      .join(", ")}`;
  };
  for (const collection of ["services", "nodeports"]) {
    for (const [key, { data, comment }] of table.elements.get(collection) ?? []) {
      const { high = 0, low = 0 } = parseClassid(data) ?? {};
      if ((low & 8) !== 0) restricted.add(key);
      const local = parseClassid(at("local-groups", classid(high, 0)) ?? "")?.high;
      const split = (low & 7) === 4 ? `; here ${local === undefined ? "nobody" : groupText(local)}` : "";
      lines.push(`${collection} ${key} "${comment}" kind ${low}: ${groupText(high)}${split}`);
    }
  }
  for (const [collection, elements] of table.elements) {
    if (NUMBERED.has(collection)) continue;
    for (const [key, { data }] of elements) {
      if (collection === "hairpins" && !reached.has(key.split(" . ")[0] ?? "")) continue;
      if (collection === "allowed" && !restricted.has(key.slice(0, key.lastIndexOf(" . ")))) continue;
      lines.push(`${collection} ${key} ${data}`);
    }
  }
  for (const { name, rules, hook } of table.chains) {
    if (parsePickingChainName(name) === undefined) lines.push(`chain ${name} ${JSON.stringify({ hook, rules })}`);
  }
  for (const { name, kind, typeOf, counts, flags, size, timeoutSeconds } of table.collections) {
    lines.push(`${name} ${JSON.stringify([kind, typeOf, counts, flags, size, timeoutSeconds])}`);
  }
  return lines.sort();
}

/** How many elements, chains and collections a table has. */
export function sizeOfTable({ elements, chains, collections }: NftTable): number {
  let size = chains.length + collections.length;
  for (const members of elements.values()) size += members.size;
  return size;
}

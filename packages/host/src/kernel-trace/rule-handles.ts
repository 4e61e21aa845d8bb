/** The handles of a table's rules, chain by chain, in order: `nft` numbers rules for good, people by their place. */
export type RuleHandles = ReadonlyMap<string, readonly number[]>;

/** Reads what `nft -a -t list ruleset` prints; keys are `ip nat KUBE-SERVICES`. */
export function parseRuleHandles(listing: string): RuleHandles {
  const handles = new Map<string, number[]>();
  let table = "";
  let chain: number[] | undefined;
  for (const line of listing.split("\n")) {
    const [, name] = /^table (\w+ \S+) \{/.exec(line) ?? [];
    if (name !== undefined) table = name;
    const [, block] = /^\tchain (\S+) \{/.exec(line) ?? [];
    if (block !== undefined) {
      chain = [];
      handles.set(`${table} ${block}`, chain);
    } else if (line === "\t}") chain = undefined;
    const [, handle] = /# handle (\d+)$/.exec(line) ?? [];
    if (block === undefined && chain !== undefined && handle !== undefined) chain.push(Number(handle));
  }
  return handles;
}

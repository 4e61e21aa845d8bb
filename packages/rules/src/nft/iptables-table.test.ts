import { expect, test } from "vitest";
import { formatStatement } from "./format-nft-rule.ts";
import { parseNft } from "./parse-nft.ts";

/** The rule as it is read of a table, without its counter. */
function readOf(table: string, rule: string, family: "ip" | "ip6" = "ip"): string {
  const chain = "chain FORWARD { type filter hook forward priority filter; policy accept;";
  const { tables } = parseNft(`table ${family} ${table} {\n${chain}\n${rule}\n}\n}\n`);
  return (tables[0]?.chains[0]?.rules[0]?.statements ?? []).map(formatStatement).join(" ");
}

test.for([
  // What nft 1.0.6 prints of `-m owner ! --uid-owner 0`, `-m helper ! --helper ftp`, `-m connlabel ! --label 4 --set`, `-m multiport --ports 3000:3010`.
  ["skuid != 0 drop", "xt match owner"],
  ['ct helper != "ftp" notrack', "xt match helper"],
  // Of `-p icmp -m icmp ! --icmp-type any` and of the same without `!`.
  ["meta l4proto icmp ip protocol icmp return", "xt match icmp"],
  ["ct label set 4 ct label and 4 != 4 return", "xt match connlabel"],
  [
    "tcp sport . tcp dport { 0-65535 . 3000, 3000 . 0-65535, 0-65535 . 3010, 3010 . 0-65535 } drop",
    "xt match multiport",
  ],
] as const)("what nft tells wrongly of iptables' rules is a question: %s", ([rule, question]) => {
  expect(readOf("filter", rule)).toMatch(new RegExp(`^${question}`));
  expect(readOf("mine", rule)).not.toContain("xt match");
});

test.for(["fib daddr type unicast drop", "fib saddr type != multicast drop", "fib daddr type { unicast, local } drop"])(
  "what kind an IPv6 address is of, iptables tells otherwise than nft: %s",
  (rule) => {
    expect(readOf("filter", rule, "ip6")).toBe("xt match addrtype drop");
    expect(readOf("mine", rule, "ip6")).toBe(rule);
    expect(readOf("filter", rule, "ip")).toBe(rule);
    expect(readOf("filter", "fib daddr type local drop", "ip6")).toBe("fib daddr type local drop");
  },
);

test("a range that goes backward is a question, for it stands for two conditions", () => {
  expect(readOf("mine", "ip ttl != 80-0 drop")).toBe("whether its two conditions hold of which nft prints one drop");
  expect(readOf("mine", "ip ttl != 0-80 drop")).toBe("ip ttl != 0-80 drop");
});

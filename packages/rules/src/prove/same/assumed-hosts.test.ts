import { expect, test } from "vitest";
import { parseSave } from "../../rule-sets/parse-save.ts";
import { readRules } from "../../rule-sets/read-rules.ts";
import { assumedHosts } from "./assumed-hosts.ts";
import { sameRules } from "./same-rules.ts";

const iptables = (rule: string) => parseSave(`*filter\n:FORWARD ACCEPT [0:0]\n${rule}\nCOMMIT\n`, { family: 4 });
const nft = (rule: string) =>
  readRules([
    {
      file: "a.nft",
      text: `table ip t {\n chain c {\n type filter hook forward priority 0; policy accept;\n ${rule}\n }\n}\n`,
    },
  ]).rules(4);

test.for([
  [
    "an interface is not all of a pattern",
    iptables("-A FORWARD -i eth+ -j DROP"),
    iptables("-A FORWARD -i eth0 -j DROP"),
    "different",
  ],
  ["one that only nftables names", nft('iifname "wg0" drop'), nft(""), "different"],
  ["one that a verdict map names", nft('iifname vmap { "wg0" : drop }'), nft(""), "different"],
  ["a pattern of nftables", nft('iifname "wg*" drop'), nft('iifname "wg0" drop'), "different"],
  ["both by one rule or by two", nft('oifname { "a", "b" } drop'), nft('oifname "a" drop\noifname "b" drop'), "same"],
] as const)("hosts that are made up tell rules apart by %s", ([, a, b, wanted]) => {
  const { hosts } = assumedHosts([a, b], 4);
  const kinds = hosts.map((hostState) => sameRules({ a, b, hostState }).kind);
  expect(kinds.includes("different") ? "different" : "same").toBe(wanted);
});

import { readFileSync } from "node:fs";
import { type Family, parseCidr, parseKubernetes, parseProxyConfiguration, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { hostStateOf } from "../../host/host-state-of.ts";
import { proveRules } from "../../prove/prove-rules.ts";
import type { Proof } from "../../prove/report/proof.ts";
import { serviceTableOf, tableDeviations } from "../../prove/report/table-deviations.ts";
import { readRules } from "../../rule-sets/read-rules.ts";

const GOLDEN = new URL("../../../golden/kube-proxy/", import.meta.url);
const FOLDERS = [
  "01-plain",
  "02-nodeport",
  "04-affinity",
  "05-external-ip",
  "06-internal-local",
  "08-protocols",
  "09-dual-stack",
];

function bytes(name: string): Uint8Array {
  return readFileSync(new URL(name, GOLDEN));
}

function text(name: string): string {
  return Buffer.from(bytes(name)).toString();
}

/** What is proved of the listing that kube-proxy left for a folder's objects, perhaps after a change. */
function proofOf(folder: string, family: Family, change: (listing: string) => string = (same) => same): Proof {
  const blocks = ["198.18.0.0/15"].flatMap((block) => parseCidr(block) ?? []);
  const { topology } = parseKubernetes([{ file: "objects.json", bytes: bytes(`${folder}/objects.json`) }], {
    allowExternalIPs: blocks,
    configuration: parseProxyConfiguration({ file: "config-nft.yaml", bytes: bytes("config-nft.yaml") }),
  });
  const plan = planHost(topology, { host: "node1" });
  const rules = readRules([{ file: "nft.txt", text: change(text(`${folder}/nft.txt`)) }]).rules(family);
  const table = serviceTableOf(rules);
  const hostState = { ...hostStateOf(topology, { host: "node1" }), recentLists: {} };
  return proveRules({ rules, plan, hostState, deviations: table === undefined ? [] : tableDeviations(table, plan) });
}

function told({ claims }: Proof): readonly string[] {
  return claims.flatMap(({ number, broken, undecided }) =>
    [...broken, ...undecided].map(
      ({ message, placed }) => `${number}: ${message} (${placed?.chain} ${placed?.number})`,
    ),
  );
}

describe.for(FOLDERS)("what a real kube-proxy wrote in nftables mode: %s", (folder) => {
  test.for([4, 6] as const)("IPv%i: every claim holds", (family) => {
    expect(told(proofOf(folder, family))).toEqual([]);
  });
});

/** A table of somebody else's beside kube-proxy's. */
const beside = (chain: string) => (listing: string) =>
  `${listing}\ntable inet firewalld {\n\tchain forward {\n${chain}\n\t}\n}\n`;

const without = (pattern: RegExp) => (listing: string) => {
  const changed = listing.replace(pattern, "");
  if (changed === listing) throw new TypeError(`nothing is like ${pattern}`);
  return changed;
};

const instead = (pattern: RegExp, text: string) => (listing: string) => {
  const changed = listing.replace(pattern, text);
  if (changed === listing) throw new TypeError(`nothing is like ${pattern}`);
  return changed;
};

describe("one change of the rules breaks the claim that it is about", () => {
  test.for([
    ["no rule masquerades", "04-affinity", 2, without(/.*masquerade fully-random.*\n/)],
    ["a service is not in the map", "04-affinity", 1, without(/10\.96\.0\.40 \. tcp \. 80 : goto [^,]*,\s*/)],
    ["a share is not the plan's", "01-plain", 1, instead(/numgen random mod 3/, "numgen random mod 4")],
    ["an endpoint is not the plan's", "01-plain", 1, instead(/10\.244\.1\.5 \. 8080/g, "10.244.1.5 . 8081")],
    ["a client is not remembered", "04-affinity", 5, without(/.*update @affinity-W5G7TMYD.*\n/)],
    ["nobody asks who was here before", "04-affinity", 5, without(/.*ip saddr @affinity-F6YHYUTE.*\n/)],
    ["clients are forgotten too early", "04-affinity", 5, instead(/(affinity-W5G7TMYD[^}]*timeout )10m/, "$15m")],
    [
      "the mark is another's",
      "01-plain",
      7,
      instead(/meta mark set meta mark \| 0x00004000/, "meta mark set 0x00004000"),
    ],
  ] as const)("%s", ([, folder, claim, change]) => {
    const { claims } = proofOf(folder, 4, change);
    expect(claims.find(({ number }) => number === claim)?.status).toBe("broken");
  });

  test("what a set that rules write has of other addresses than the client's, nobody knows", () => {
    const { claims } = proofOf("04-affinity", 4, instead(/ip saddr @affinity-W5/, "ip daddr @affinity-W5"));
    expect(claims.find(({ number }) => number === 5)?.status).toBe("undecided");
  });

  test("a table of somebody else's drops what is sent on", () => {
    const { claims } = proofOf("01-plain", 4, beside("\t\ttype filter hook forward priority 10; policy drop;"));
    expect(claims.filter(({ status }) => status === "broken").map(({ number }) => number)).toContain(6);
  });

  test.for([
    ["meta pkttype set other", "undecided"],
    ["meta pkttype set host", "held"],
    ["udp checksum set 0 drop", "held"],
    ["tcp checksum set 7", "undecided"],
    ["ip6 flowlabel set 1 drop", "held"],
    ["th dport set 8080", "undecided"],
    ["ip saddr set 10.9.9.9", "undecided"],
    ["ip daddr set 10.9.9.9", "undecided"],
    ["tcp sport set 81", "undecided"],
  ] as const)("what is written into a packet on its way leaves the first claim so: %s", ([rule, status]) => {
    const chain = `\t\ttype filter hook prerouting priority -150; policy accept;\n\t\t${rule}`;
    expect(proofOf("01-plain", 4, beside(chain)).claims.find(({ number }) => number === 1)?.status).toBe(status);
  });

  test("a rule that was not read leaves open what becomes of all that comes by it", () => {
    const chain = "\t\ttype filter hook forward priority 10; policy accept;\n\t\tfrobnicate 5";
    const proof = proofOf("01-plain", 4, beside(chain));
    expect(proof.claims.find(({ number }) => number === 1)?.status).toBe("undecided");
    expect(told(proof).join("\n")).toContain("frobnicate 5");
  });
});

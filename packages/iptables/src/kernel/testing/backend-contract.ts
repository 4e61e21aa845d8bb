import { readFileSync } from "node:fs";
import { exampleTopology, type HostPlan, parseTopology, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { compileRules } from "../../compile-rules.ts";
import type { DesiredRules } from "../../desired-rules.ts";
import { listDifferences } from "../differences.ts";
import { MARKER_CHAIN } from "../own-chains.ts";
import type { RuleBackend } from "../rule-backend.ts";

/** A host of its own, with a backend at work on it, for one test. */
export interface BackendHost extends AsyncDisposable {
  readonly backend: RuleBackend;
  /** What somebody else does: `iptables …` and `ip6tables …` command lines. */
  run(script: string): Promise<void>;
  /** All rules as `iptables-save` prints them, IPv4 first, without comments and counters; a table without anything is left out. */
  dump(): Promise<string>;
}

const { signal } = new AbortController();

const FOREIGN = `
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A DOCKER -i docker0 -j RETURN
iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
iptables -t nat -A PREROUTING -p tcp -m tcp --dport 9999 -j REDIRECT --to-ports 1
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t filter -A INPUT -p tcp -m tcp --dport 22 -m comment --comment "let's \\"in\\"" -j ACCEPT
iptables -t nat -N KUBE-KUBELET-CANARY
ip6tables -t nat -A OUTPUT -p udp -m udp --dport 53 -j ACCEPT
`;

/** Two services on the given addresses; the second has as many endpoints as `endpoints` says. */
export function planOf({
  address = "192.168.1.6",
  endpoints = ["a"],
  v6 = false,
  localhostNodePorts = false,
}: {
  address?: string;
  endpoints?: string[];
  v6?: boolean;
  localhostNodePorts?: boolean;
}): HostPlan {
  const text = `
node: { localhostNodePorts: ${localhostNodePorts} }
hosts:
  - name: one
    addresses: ["${address}"${v6 ? ', "fd00:1::6"' : ""}]
    podCIDRs: [10.5.75.0/24${v6 ? ", fd00:5::/64" : ""}]
    pods:
      - { name: a, addresses: ["10.5.75.2:3000"${v6 ? ', "[fd00:5::2]:3000"' : ""}] }
      - { name: b, addresses: ["10.5.75.3:3000"${v6 ? ', "[fd00:5::3]:3000"' : ""}] }
services:
  - name: web
    clusterIPs: [10.100.0.1${v6 ? ', "fd00:9::1"' : ""}]
    ports: [{ port: 80, nodePort: 30080 }]
    endpoints: [a, b]
  - name: dns
    clusterIPs: [10.100.0.2${v6 ? ', "fd00:9::2"' : ""}]
    ports: [{ port: 53, protocol: UDP }]
    endpoints: [${endpoints.join(", ")}]
`;
  const { topology } = parseTopology(new TextEncoder().encode(text), { file: "test.yaml" });
  return planHost(topology, { host: "one" });
}

export function rulesOf(plan: HostPlan): readonly DesiredRules[] {
  return ([4, 6] as const)
    .filter((family) => plan.ports.some((port) => port.family === family))
    .map((family) => compileRules(plan, { dialect: "document", family }));
}

function documentRules(): readonly DesiredRules[] {
  return rulesOf(planHost(exampleTopology().topology, { host: "cloudos1" }));
}

/** The document's commands, as its author typed them. */
const HAND_TYPED = readFileSync(new URL("../../../golden/cloudos/document-cloudos1.txt", import.meta.url), "utf8");

const GUARD =
  '-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP';
const FIREWALL_WITH = (rule: string) => `
iptables -t filter -N KUBE-FIREWALL
iptables -t filter ${rule}
iptables -t filter -I INPUT 1 -j KUBE-FIREWALL
iptables -t filter -I OUTPUT 1 -j KUBE-FIREWALL
`;
const KUBELET = ["filter", "nat", "mangle"].map((table) => `iptables -t ${table} -N KUBE-KUBELET-CANARY\n`).join("");
const HINT = "iptables -t mangle -N KUBE-IPTABLES-HINT\n";

/** Who has a chain KUBE-FIREWALL before us. */
const FIREWALLS: readonly { readonly name: string; readonly script: string; readonly hasGuard: boolean }[] = [
  { name: "a kube-proxy that was cleaned up left it", script: FIREWALL_WITH(GUARD), hasGuard: true },
  { name: "a kubelet keeps it", script: `${HINT}${FIREWALL_WITH(GUARD)}${KUBELET}`, hasGuard: true },
  {
    name: "an older kubelet keeps it",
    script: `${HINT}${FIREWALL_WITH("-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP")}${KUBELET}`,
    hasGuard: false,
  },
];

/** What a kubelet up to 1.27 makes for host ports, in the table nat. */
const oldKubelet = ({ mark, masquerade }: { readonly mark: string; readonly masquerade: string }) => `${KUBELET}
iptables -t nat -N KUBE-MARK-DROP
iptables -t nat -A KUBE-MARK-DROP -j MARK --or-mark 0x8000
iptables -t nat -N KUBE-MARK-MASQ
iptables -t nat -A KUBE-MARK-MASQ -j MARK --or-mark ${mark}
iptables -t nat -N KUBE-POSTROUTING
iptables -t nat -A KUBE-POSTROUTING -m mark ! --mark ${mark}/${mark} -j RETURN
iptables -t nat -A KUBE-POSTROUTING -j MARK --xor-mark ${mark}
iptables -t nat -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j ${masquerade}
iptables -t nat -I POSTROUTING 1 -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
`;

/** What people and programs do to rules, and what diff has to call it. */
const DRIFT: readonly { readonly name: string; readonly done: string; readonly kinds: readonly string[] }[] = [
  { name: "a chain was flushed", done: "iptables -t nat -F KUBE-SVC-1", kinds: ["flushed-chain"] },
  { name: "a jump was deleted", done: "iptables -t nat -D OUTPUT -j KUBE-SERVICES", kinds: ["missing-rule"] },
  { name: "a jump was typed twice", done: "iptables -t nat -A OUTPUT -j KUBE-SERVICES", kinds: ["duplicated-rule"] },
  {
    name: "the document's last rule was typed twice",
    done: "iptables -t nat -I POSTROUTING 1 -s 192.168.1.6 -j MASQUERADE",
    kinds: ["duplicated-rule"],
  },
  {
    name: "a rule was changed",
    done: "iptables -t nat -R KUBE-SEP-os1my1 2 -p tcp -m tcp -j DNAT --to-destination 10.5.75.9:3000",
    kinds: ["changed-rule"],
  },
  {
    name: "a jump was changed",
    done: "iptables -t nat -R OUTPUT 1 -p udp -j KUBE-SERVICES",
    kinds: ["changed-rule"],
  },
  { name: "a rule was deleted", done: "iptables -t nat -D KUBE-SVC-2 2", kinds: ["missing-rule"] },
  { name: "a rule was added", done: "iptables -t nat -I KUBE-SERVICES 2 -s 10.1.1.1 -j RETURN", kinds: ["extra-rule"] },
  {
    name: "a rule was added twice",
    done: "iptables -t nat -A KUBE-MARK-MASQ -j MARK --set-mark 0x4000",
    kinds: ["duplicated-rule"],
  },
  {
    name: "a rule was moved",
    done: "iptables -t nat -D KUBE-SERVICES 1\niptables -t nat -A KUBE-SERVICES -d 10.100.100.1 -p tcp -m tcp --dport 7070 -j KUBE-SVC-1",
    kinds: ["moved-rule"],
  },
  {
    name: "a rule for our port was put before ours",
    done: "iptables -t nat -I PREROUTING 1 -p tcp -m tcp --dport 34211 -j ACCEPT",
    kinds: ["foreign-rule-before"],
  },
  {
    name: "a chain that takes our VIP was put before ours",
    done: "iptables -t nat -N TAKER\niptables -t nat -A TAKER -d 10.100.0.0/16 -j RETURN\niptables -t nat -A TAKER -d 10.100.100.2 -p tcp -j REDIRECT --to-ports 1\niptables -t nat -I OUTPUT 1 -j TAKER",
    kinds: ["foreign-rule-before"],
  },
  {
    name: "any rule was put before the document's last one",
    done: "iptables -t nat -I POSTROUTING 1 -s 172.17.0.0/16 -j MASQUERADE",
    kinds: ["foreign-rule-before"],
  },
  {
    name: "an unrelated rule was put before ours",
    done: "iptables -t nat -I PREROUTING 1 -p tcp -m tcp --dport 9998 -j REDIRECT --to-ports 2",
    kinds: [],
  },
  { name: "a chain with a name of ours was made", done: "iptables -t nat -N KUBE-SVC-OLD", kinds: ["extra-chain"] },
  {
    name: "a chain was deleted",
    done: "iptables -t nat -F KUBE-SERVICES\niptables -t nat -F KUBE-NODEPORTS\niptables -t nat -X KUBE-NODEPORTS",
    kinds: ["flushed-chain", "missing-chain"],
  },
  {
    name: "somebody jumps to our chain a second way",
    done: "iptables -t nat -A OUTPUT -o eth9 -j KUBE-SERVICES",
    kinds: ["extra-rule"],
  },
  {
    name: "the same rules were written in other words",
    done: "iptables -t nat -R KUBE-SERVICES 1 -p tcp -d 10.100.100.1/32 -m tcp --dport 7070:7070 -m comment --comment web -j KUBE-SVC-1",
    kinds: [],
  },
  { name: "a mark was deleted", done: `iptables -t nat -X ${MARKER_CHAIN}`, kinds: [] },
];

/** What every backend promises, whatever holds the rules. */
export function describeBackend(name: string, createHost: () => Promise<BackendHost>): void {
  describe(name, { timeout: 60_000 }, () => {
    test("twice is once, and what it reads back is the plan", async () => {
      await using host = await createHost();
      const desired = rulesOf(planOf({ v6: true }));
      const first = await host.backend.apply(desired, { signal });
      expect(first.changes.length).toBeGreaterThanOrEqual(2);
      const dump = await host.dump();
      const second = await host.backend.apply(desired, { signal });
      expect(second.changes).toEqual([]);
      expect(await host.dump()).toBe(dump);
      const own = await host.backend.read({ signal });
      const names = own.map(({ tables }) =>
        tables.flatMap((table) => table.chains.filter(({ policy }) => !policy).map((chain) => chain.name)).sort(),
      );
      expect(names).toEqual(
        desired.map(({ tables }) => tables.flatMap((table) => table.chains.map((chain) => chain.name)).sort()),
      );
    });

    test("what is not ours stays as it is, and cleanup leaves nothing else behind", async () => {
      await using host = await createHost();
      await host.run(FOREIGN);
      const before = await host.dump();
      await host.backend.apply(rulesOf(planOf({ v6: true, endpoints: [] })), { signal });
      const during = (await host.dump()).split("\n");
      for (const line of before.split("\n")) expect(during).toContain(line);
      await host.backend.apply([], { signal });
      expect(await host.dump()).toBe(before);
    });

    test.for(DRIFT)("$name: diff says it, apply mends it", async ({ done, kinds }) => {
      await using host = await createHost();
      const desired = documentRules();
      await host.backend.apply(desired, { signal });
      await host.run(done);
      const { families } = await host.backend.compare(desired, { signal });
      expect(
        listDifferences(families)
          .map(({ kind }) => kind)
          .sort(),
      ).toEqual([...kinds].sort());
      await host.backend.apply(desired, { signal });
      const after = await host.backend.compare(desired, { signal });
      expect({ differences: listDifferences(after.families), changes: after.changes }).toEqual({
        differences: [],
        changes: [],
      });
    });

    test("the document typed by hand is taken over without a word, and cleaned up later", async () => {
      await using host = await createHost();
      await host.run(HAND_TYPED);
      const typed = await host.dump();
      const { families } = await host.backend.compare(documentRules(), { signal });
      expect(listDifferences(families)).toEqual([]);
      await host.backend.apply(documentRules(), { signal });
      const marked = (await host.dump()).split("\n").filter((line) => !line.includes(MARKER_CHAIN));
      expect(marked.join("\n")).toBe(typed);
      await host.backend.apply([], { signal });
      expect(await host.dump()).toBe("");
    });

    test("chains of the same names that mean something else are refused, or adopted", async () => {
      await using host = await createHost();
      await host.run(
        "iptables -t nat -N KUBE-SERVICES\niptables -t nat -N KUBE-SVC-XYZ\niptables -t nat -A KUBE-SERVICES -j KUBE-SVC-XYZ\niptables -t nat -A OUTPUT -j KUBE-SERVICES\niptables -t filter -N KUBE-FORWARD\nip6tables -t nat -N KUBE-SVC-SIX",
      );
      const before = await host.dump();
      // Named are all that --adopt would take, in tables and families that the plan does not use too.
      await expect(host.backend.apply(documentRules(), { signal })).rejects.toMatchObject({
        code: "FOREIGN_CHAINS",
        message: expect.stringMatching(
          /KUBE-SVC-XYZ \(IPv4 nat\).*KUBE-FORWARD \(IPv4 filter\).*KUBE-SVC-SIX \(IPv6 nat\)/,
        ),
      });
      expect(await host.dump()).toBe(before);
      await host.backend.apply(documentRules(), { signal, adopt: true });
      expect(await host.dump()).not.toMatch(/KUBE-SVC-XYZ|KUBE-FORWARD|KUBE-SVC-SIX/);
    });

    test.for(FIREWALLS.flatMap((firewall) => [true, false].map((isGuarding) => ({ ...firewall, isGuarding }))))(
      "KUBE-FIREWALL of others is used and stays ($name; our plan needs it: $isGuarding)",
      async ({ script, hasGuard, isGuarding }) => {
        await using host = await createHost();
        await host.run(script);
        const before = (await host.dump()).split("\n");
        const plan = planOf({ localhostNodePorts: isGuarding });
        const desired = [compileRules(plan, { dialect: "kubernetes", family: 4 })];
        await host.backend.apply(desired, { signal });
        const during = (await host.dump()).split("\n");
        for (const line of before) expect(during).toContain(line);
        const count = (text: string) => during.filter((line) => line.includes(text)).length;
        expect(count("block incoming localnet connections")).toBe(hasGuard || isGuarding ? 1 : 0);
        expect([count("-A INPUT -j KUBE-FIREWALL"), count("-A OUTPUT -j KUBE-FIREWALL")]).toEqual([1, 1]);
        expect((await host.backend.apply(desired, { signal })).changes).toEqual([]);
        await host.backend.apply([], { signal });
        const after = (await host.dump()).split("\n");
        for (const line of before) expect(after).toContain(line);
        // What we added to it keeps neighbours away from loopback, as a kubelet of today does.
        const added = after.filter((line) => !before.includes(line));
        expect(added.filter((line) => !line.includes("block incoming localnet connections"))).toEqual([]);
      },
    );

    test("KUBE-FIREWALL that is ours goes with us, and stays where a kubelet came meanwhile", async () => {
      await using host = await createHost();
      const plan = planOf({ localhostNodePorts: true });
      const desired = [compileRules(plan, { dialect: "kubernetes", family: 4 })];
      await host.backend.apply(desired, { signal });
      await host.backend.apply([], { signal });
      expect(await host.dump()).toBe("");
      await host.backend.apply(desired, { signal });
      await host.run(KUBELET);
      await host.backend.apply(desired, { signal });
      await host.backend.apply([], { signal });
      expect((await host.dump()).match(/^.*KUBE-FIREWALL.*$/gm)).toHaveLength(4);
    });

    test.for([
      { name: "as ours", isEqual: true, mark: "0x4000", masquerade: "MASQUERADE --random-fully" },
      { name: "with ports in a row", isEqual: false, mark: "0x4000", masquerade: "MASQUERADE" },
      { name: "with another mark", isEqual: false, mark: "0x1000", masquerade: "MASQUERADE --random-fully" },
    ])(
      "the chains for masquerading of an old kubelet are used, and stay when ours go ($name)",
      async ({ isEqual, ...kubelet }) => {
        await using host = await createHost();
        await host.run(oldKubelet(kubelet));
        const before = await host.dump();
        const desired = [compileRules(planOf({}), { dialect: "kubernetes", family: 4 })];
        await host.backend.apply(desired, { signal });
        expect((await host.backend.apply(desired, { signal })).changes).toEqual([]);
        const during = await host.dump();
        expect(during.match(/-A POSTROUTING .*-j KUBE-POSTROUTING/g)).toHaveLength(1);
        expect(during).not.toContain("0x1000");
        await host.backend.apply([], { signal });
        const after = await host.dump();
        if (isEqual) expect(after).toBe(before);
        // As a kube-proxy leaves them: who goes through the first is masqueraded by the second.
        expect(after).toMatch(/-A KUBE-MARK-MASQ -j MARK --(set-xmark 0x4000\/0x4000|or-mark 0x4000)/);
        expect(after).toMatch(/-A KUBE-POSTROUTING .*-j MASQUERADE --random-fully/);
        expect(after).toMatch(/-A POSTROUTING .*-j KUBE-POSTROUTING/);
        expect(after).not.toMatch(/SVCPROXY|KUBE-SERVICES|KUBE-SVC/);
      },
    );

    test("a new plan takes the old one's chains and its rule for the old address with it", async () => {
      await using host = await createHost();
      await host.backend.apply(rulesOf(planOf({ address: "192.168.1.6", v6: true })), { signal });
      const desired = rulesOf(planOf({ address: "192.168.1.7", endpoints: [] }));
      await host.backend.apply(desired, { signal });
      const moved = await host.dump();
      expect(moved).not.toMatch(/192\.168\.1\.6|fd00/);
      await host.backend.apply([], { signal });
      await host.backend.apply(desired, { signal });
      expect(sortedChains(moved)).toBe(sortedChains(await host.dump()));
    });

    test("a rule of somebody else that is equal to the document's last one outlives ours", async () => {
      await using host = await createHost();
      await host.run(
        "iptables -t nat -A POSTROUTING -s 10.9.9.9 -j ACCEPT\niptables -t nat -A POSTROUTING -s 192.168.1.6 -j MASQUERADE",
      );
      const before = await host.dump();
      await host.backend.apply(documentRules(), { signal });
      expect((await host.dump()).match(/-s 192\.168\.1\.6\/32 -j MASQUERADE/g)).toHaveLength(2);
      expect((await host.backend.apply(documentRules(), { signal })).changes).toEqual([]);
      await host.backend.apply([], { signal });
      expect(await host.dump()).toBe(before);
    });

    test("where a later table is refused, the earlier ones are put back", async () => {
      await using host = await createHost();
      await host.run(FOREIGN);
      await host.backend.apply(documentRules(), { signal });
      await host.run("iptables -t nat -F KUBE-SVC-1");
      const before = await host.dump();
      const [good] = rulesOf(planOf({}));
      if (good === undefined) throw new Error("no rules");
      const bad: DesiredRules = {
        ...good,
        tables: [
          ...good.tables.filter(({ name }) => name === "nat"),
          {
            name: "filter",
            chains: [
              { name: "KUBE-FORWARD", rules: [{ matches: [], target: { kind: "jump", chain: "KUBE-SVC-NOWHERE" } }] },
            ],
          },
        ],
      };
      await expect(host.backend.apply([bad], { signal })).rejects.toMatchObject({
        code: "RESTORE_REFUSED",
        message: expect.stringContaining("the host has its old rules"),
      });
      expect(sortedChains(await host.dump())).toBe(sortedChains(before));
    });

    test("a chain that a foreign rule jumps to stays, empty, until that rule goes", async () => {
      await using host = await createHost();
      await host.backend.apply(rulesOf(planOf({ endpoints: ["a", "b"] })), { signal });
      const chain = /^:(KUBE-SVC-dns\S*)/m.exec(await host.dump())?.[1] ?? "";
      await host.run(`iptables -t nat -N THEIRS\niptables -t nat -A THEIRS -j ${chain}`);
      const { heldChains } = await host.backend.apply(documentRules(), { signal });
      expect(heldChains).toMatchObject([{ chain, heldBy: "THEIRS" }]);
      await host.run("iptables -t nat -F THEIRS");
      await host.backend.apply(documentRules(), { signal });
      expect(await host.dump()).not.toContain(chain);
    });
  });
}

/** Dumps list chains in the order in which they were made, which nothing depends on. */
function sortedChains(dump: string): string {
  return dump.split("\n").sort().join("\n");
}

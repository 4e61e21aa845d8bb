import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { hostRulesOf } from "../hooks/host-rules.ts";
import type { RuleSet } from "../rule-set.ts";
import { applyCommands } from "../rule-sets/apply-commands.ts";
import { parseCommands } from "../rule-sets/parse-commands.ts";
import { parseSave } from "../rule-sets/parse-save.ts";
import { documentFixture, type ProveFixture, richFixture } from "../testing/prove-fixtures.ts";
import { proveRules } from "./prove-rules.ts";
import { describePacket, formatProof } from "./report/format-proof.ts";
import type { Proof } from "./report/proof.ts";

function proveAfter(fixture: ProveFixture, script: string): Proof {
  const { family } = fixture;
  return proveRules({ ...fixture, rules: applyCommands(fixture.rules, parseCommands(script, { family })) });
}

/** `1 broken: PACKET`, and for undecided ones what they hang on. */
function verdicts({ claims }: Proof): string[] {
  return claims
    .filter(({ status }) => status !== "held")
    .map(({ number, status, broken, undecided }) => {
      const [finding] = [...broken, ...undecided];
      return `${number} ${status}: ${finding === undefined ? "" : describePacket(finding.packet)}`;
    });
}

test("a claim names the addresses of its family", () => {
  const titles = ([4, 6] as const).map((family) => {
    const { claims } = proveRules(richFixture("kubernetes", family));
    return claims.find(({ number }) => number === 8)?.title;
  });
  expect(titles).toEqual([
    "No neighbour reaches 127.0.0.0/8 of this host (CVE-2020-8558)",
    "No neighbour reaches ::1 of this host",
  ]);
});

test("a source that may not use a frontend got nothing where the host has no route there", () => {
  const fixture = richFixture("kubernetes", 4);
  const routes = fixture.hostState.routes.filter(({ destination }) => destination.prefixLength > 0);
  const { claims } = proveRules({ ...fixture, hostState: { ...fixture.hostState, routes } });
  const told = claims.flatMap(({ number, broken }) => broken.map(({ message }) => `${number} ${message}`));
  expect(told.filter((line) => line.includes("no route leads there"))).not.toEqual([]);
  expect(told.filter((line) => line.includes("may not use this frontend"))).toEqual([]);
});

describe("the founding document's rules", () => {
  const fixture = documentFixture();

  test("hold, and what they do beside the promise is shown with a packet each", () => {
    const proof = proveRules(fixture);
    expect(verdicts(proof)).toEqual([]);
    expect(proof.holds).toBe(true);
    expect(proof.deviations.map(({ kind, finding }) => [kind, finding && describePacket(finding.packet)])).toEqual([
      ["host-traffic-masqueraded", "192.168.1.6 → 127.0.0.1:80/tcp"],
      ["nodeport-on-loopback", "127.0.0.1 → 127.0.0.1:34211/tcp"],
      ["whole-mark", "10.5.75.2 → 10.100.100.1:7070/tcp, mark 0x1"],
      ["mark-outlives-packet", "10.5.75.2 → 10.100.100.1:7070/tcp"],
      ["outside-clusterip-not-masqueraded", "10.5.88.3 → 10.100.100.1:7070/tcp"],
    ]);
  });

  test("are broken for who comes in by a device that does not forward, and for no other", () => {
    const { hostState } = fixture;
    const sysctls = { ...hostState.sysctls, "net.ipv4.conf.cni0.forwarding": "0" };
    const proof = proveRules({ ...fixture, hostState: { ...hostState, sysctls } });
    expect(proof.holds).toBe(false);
    const sources = proof.claims.flatMap(({ broken }) => broken.map(({ packet }) => describePacket(packet)));
    expect(sources.length).toBeGreaterThan(0);
    for (const source of sources) expect(source).toMatch(/^10\.5\.75\./);
  });

  test.for([
    ["are open", fixture],
    [
      "are open where the plan has no frontend, either",
      { ...fixture, plan: { ...fixture.plan, ports: [] }, rules: { family: 4, tables: [] } },
    ],
  ] as const)("beside a table of others that nobody could read all claims %s", ([, options]) => {
    const rules = { ...hostRulesOf(options.rules), unread: [{ table: "filter", because: "nobody could" }] };
    const { claims, holds } = proveRules({ ...options, rules });
    expect(holds).toBe(false);
    expect(claims.filter(({ status }) => status !== "undecided")).toEqual([]);
    for (const { undecided } of claims)
      expect(undecided.map(({ message }) => message)).toContainEqual(
        expect.stringContaining("the rules of filter were not read: nobody could"),
      );
  });

  test("without the last one break with the document's own packet", () => {
    const proof = proveAfter(fixture, "iptables -t nat -D POSTROUTING -s 192.168.1.6 -j MASQUERADE");
    expect(verdicts(proof)).toEqual(["2 broken: 192.168.1.6 → 10.100.100.1:7070/tcp"]);
    expect(proof.claims[1]?.broken.map(({ message }) => message)).toContain(
      "leaves by flannel.1 for 10.5.88.2:3000 as 192.168.1.6, which the plan wants rewritten",
    );
    const text = formatProof(proof, {
      hostName: "cloudos1",
      traceCommand: ["svcproxy", "trace", "--host", "cloudos1"],
    });
    expect(text).toContain("$ svcproxy trace --host cloudos1 --from 192.168.1.6 --to 10.100.100.1:7070\n");
  });

  test.for([
    ["iptables -t nat -I PREROUTING 1 -s 10.5.75.3 -j ACCEPT", "nat PREROUTING 1"],
    ["iptables -t nat -I PREROUTING 1 -d 10.100.100.2 -j RETURN", "nat PREROUTING 1"],
    ["iptables -t nat -I OUTPUT 1 -d 10.100.100.1 -j DNAT --to-destination 10.9.9.9", "nat OUTPUT 1"],
    ["iptables -t nat -I POSTROUTING 1 -d 10.5.75.0/24 -j ACCEPT", "nat POSTROUTING 1"],
    ["iptables -t nat -I POSTROUTING 1 -s 10.5.75.0/24 ! -o cni0 -j MASQUERADE", "nat POSTROUTING 1"],
    ["iptables -t raw -A PREROUTING -d 10.5.75.0/24 ! -i cni0 -j DROP", "raw PREROUTING 1"],
    ["iptables -t raw -A PREROUTING -s 10.5.75.3 -j NOTRACK", "raw PREROUTING 1"],
    ["iptables -A FORWARD -i eth0 -p tcp --dport 3000 -j REJECT", "filter FORWARD 1"],
    ["iptables -A FORWARD -s 10.5.88.2 -m conntrack --ctstate ESTABLISHED -j DROP", "filter FORWARD 1"],
    ["iptables -t nat -I KUBE-SERVICES 1 -j RETURN", undefined],
    ["iptables -P FORWARD DROP", undefined],
  ] as const)("%s breaks them, and is named", ([script, place]) => {
    const { claims, holds } = proveAfter(fixture, script);
    const foreign = claims[5]?.broken[0];
    expect(holds).toBe(false);
    const { table, chain, number } = foreign?.placed ?? {};
    if (place !== undefined) expect(`${table} ${chain} ${number}`).toBe(place);
    if (script.includes("-P")) expect(foreign?.message).toContain("the policy of filter FORWARD is DROP");
  });

  test.for([
    ["iptables -t nat -I POSTROUTING 1 -s 10.5.75.0/24 ! -d 10.5.0.0/16 -j MASQUERADE"],
    ["iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"],
    ["iptables -A INPUT -p tcp --dport 22 -j ACCEPT"],
    ["iptables -A FORWARD -m limit --limit 5/min -j LOG"],
    ["iptables -A INPUT -m string --string x --algo bm -j ACCEPT"],
    ["iptables -t mangle -A FORWARD -p tcp --syn -j TCPMSS --clamp-mss-to-pmtu"],
    // A port where nobody listens is refused by the host itself.
    ["iptables -I INPUT 1 -i lo -j ACCEPT"],
    // Nothing is promised to these: a container that is not a pod, another host's pod that comes here, and its own address.
    ["iptables -t raw -A PREROUTING -d 172.17.0.2 ! -i docker0 -j DROP"],
    ["iptables -t nat -I POSTROUTING 1 -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"],
    ["iptables -t nat -I POSTROUTING 1 -s 10.5.88.0/24 -d 10.5.75.0/24 -j MASQUERADE"],
    ["iptables -A FORWARD -i flannel.1 -d 10.5.88.0/24 -j DROP"],
  ] as const)("%s takes nothing from them", ([script]) => {
    expect(verdicts(proveAfter(fixture, script))).toEqual([]);
  });

  test.for([
    ["iptables -A FORWARD -m limit --limit 5/min -j DROP", "-m limit --limit 5/min"],
    ["iptables -A FORWARD -m string --string x --algo bm -j DROP", "-m string --string x --algo bm"],
    ["iptables -t nat -I PREROUTING 1 -m set --match-set banned src -j ACCEPT", "-m set --match-set banned src"],
  ] as const)("%s leaves it open, and the match is named", ([script, match]) => {
    const { claims } = proveAfter(fixture, script);
    expect(claims.map(({ status }) => status)).toContain("undecided");
    expect(claims.map(({ status }) => status)).not.toContain("broken");
    expect(claims[0]?.undecided[0]?.message).toContain(match);
  });
});

describe("beside the rules of a host that runs", () => {
  const fixture = documentFixture();
  const read = (path: string) => readFileSync(new URL(`../../fixtures/${path}`, import.meta.url), "utf8");

  test.for([
    ["docker", "the policy of filter FORWARD is DROP", undefined],
    ["ufw", "the policy of filter FORWARD is DROP", undefined],
    ["firewalld", "which the plan does not want", "nat POST_public_allow 1"],
  ] as const)("%s, claim 6 names what defeats ours", ([host, message, place]) => {
    const rules = mergeRules(parseSave(read(`hosts/${host}.rules`), { family: 4 }), fixture.rules);
    const proof = proveRules({ ...fixture, rules });
    const [found] = proof.claims[5]?.broken ?? [];
    expect(found?.message).toContain(message);
    const { table, chain, number } = found?.placed ?? {};
    expect(table && `${table} ${chain} ${number}`).toBe(place);
    expect(proof.claims[3]?.status).toBe("held");
  });
});

test("libvirt beside them masquerades its own machines, to which nothing is promised", () => {
  const fixture = documentFixture();
  const libvirt = readFileSync(new URL("../../fixtures/hosts/libvirt.rules", import.meta.url), "utf8");
  const rules = mergeRules(parseSave(libvirt, { family: 4 }), fixture.rules);
  expect(verdicts(proveRules({ ...fixture, rules }))).toEqual([]);
});

/** Ours after what is there, as a host has them where the other program came first. */
function mergeRules(there: RuleSet, ours: RuleSet): RuleSet {
  const tables = ["raw", "mangle", "nat", "filter"].flatMap((name) => {
    const [before, added] = [there, ours].map((rules) => rules.tables.find((table) => table.name === name));
    if (before === undefined || added === undefined) return before ?? added ?? [];
    const chains = before.chains.map((chain) => {
      const own = added.chains.find((one) => one.name === chain.name)?.rules ?? [];
      return { ...chain, rules: [...chain.rules, ...own] };
    });
    const isNew = (chain: { readonly name: string }) => !before.chains.some(({ name: known }) => known === chain.name);
    return { ...before, chains: [...chains, ...added.chains.filter(isNew)] };
  });
  return { ...there, tables };
}

describe.for([
  ["document", 4],
  ["document", 6],
  ["kubernetes", 4],
  ["kubernetes", 6],
] as const)("one of everything, %s, IPv%i", ([dialect, family]) => {
  const fixture = richFixture(dialect, family);

  test("holds", () => {
    expect(verdicts(proveRules(fixture))).toEqual([]);
  });

  test("and does not without any one of the rules that lead to endpoints", () => {
    const isLeading = (rule: string) => /^(jump KUBE-(SVC|SVL|SEP|EXT|FW)|dnat)/.test(rule);
    let tried = 0;
    for (const { rules, removed } of withoutEach(fixture.rules)) {
      if (!isLeading(removed)) continue;
      tried++;
      expect(proveRules({ ...fixture, rules }).holds, removed).toBe(false);
    }
    expect(tried).toBeGreaterThan(20);
  });
});

function* withoutEach(ruleSet: RuleSet): Generator<{ rules: RuleSet; removed: string }> {
  for (const [t, table] of ruleSet.tables.entries()) {
    for (const [c, chain] of table.chains.entries()) {
      for (const [r, { target }] of chain.rules.entries()) {
        if (table.name !== "nat") continue;
        const removed = `${target.kind} ${"chain" in target ? target.chain : ""} in ${chain.name} ${r + 1}`;
        const chains = table.chains.with(c, { ...chain, rules: chain.rules.toSpliced(r, 1) });
        yield { removed, rules: { ...ruleSet, tables: ruleSet.tables.with(t, { ...table, chains }) } };
      }
    }
  }
}

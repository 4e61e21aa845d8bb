import type { Family } from "@svcproxy/topology";
import type { Match } from "../../match.ts";
import type { Chain, Rule, RuleSet } from "../../rule-set.ts";
import type { Target } from "../../target.ts";
import { randomAddress, singleBlock } from "./random-addresses.ts";
import type { RandomSource } from "./random-source.ts";
import { WORLD } from "./world-plan.ts";

const PLAIN = { random: false, randomFully: false, persistent: false };

/** Services as kube-proxy and the founding document write them: VIPs, NodePorts, chances, hairpins, marks and masquerading. */
export function randomServices(random: RandomSource, family: Family): RuleSet {
  const world = WORLD[family];
  const wholeMark = random.chance(0.4);
  const mark = { value: 0x4000, mask: wholeMark ? 0xffffffff : 0x4000 };
  const chains: Chain[] = [];
  const services: Rule[] = [];
  const nodePorts: Rule[] = [];
  const refused: Rule[] = [];
  for (const [index, vip] of world.services.entries()) {
    const protocol = random.pick(["tcp", "udp"] as const);
    const port = random.pick([80, 7070, 53]);
    const destination: Match[] = [
      { kind: "destination", negated: false, cidr: singleBlock(randomAddress(random, [vip])) },
      ...portMatch(protocol, port),
    ];
    const endpoints = random.below(4);
    if (endpoints === 0) {
      refused.push({
        matches: destination,
        target: { kind: "reject", with: family === 4 ? "icmp-port-unreachable" : "icmp6-port-unreachable" },
      });
      continue;
    }
    const name = `KUBE-SVC-${index}`;
    services.push({ matches: destination, target: { kind: "jump", chain: name } });
    if (random.chance(0.6)) {
      const dialled = portMatch(protocol, 34211);
      nodePorts.push(
        { matches: dialled, target: { kind: "jump", chain: "KUBE-MARK-MASQ" } },
        { matches: dialled, target: { kind: "jump", chain: name } },
      );
    }
    chains.push(...serviceChains(random, { family, name, endpoints }));
  }
  services.push({
    matches: [{ kind: "addrtype", destination: { negated: false, types: ["LOCAL"] } }],
    target: { kind: "jump", chain: "KUBE-NODEPORTS" },
  });
  const toServices: Rule = { matches: [], target: { kind: "jump", chain: "KUBE-SERVICES" } };
  const isMarked = (negated: boolean): Match => ({ kind: "mark", negated, value: 0x4000, mask: mark.mask });
  const masquerade: Target = { kind: "masquerade", random: false, randomFully: false };
  const postrouting: readonly Rule[] = wholeMark
    ? [{ matches: [isMarked(false)], target: masquerade }]
    : [
        { matches: [isMarked(true)], target: { kind: "return" } },
        { matches: [], target: { kind: "mark", value: 0x4000, mask: 0 } },
        { matches: [], target: masquerade },
      ];
  const lastRule: Rule = {
    matches: [
      { kind: "source", negated: false, cidr: singleBlock(randomAddress(random, world.from.host.slice(0, 1))) },
    ],
    target: masquerade,
  };
  const jump = (chain: string): Rule => ({ matches: [], target: { kind: "jump", chain } });
  const onlyNew: Match = { kind: "conntrack", states: { negated: false, states: ["NEW"] } };
  return {
    family,
    tables: [
      {
        name: "nat",
        chains: [
          { name: "PREROUTING", policy: "ACCEPT", rules: [toServices] },
          { name: "OUTPUT", policy: "ACCEPT", rules: [toServices] },
          {
            name: "POSTROUTING",
            policy: "ACCEPT",
            rules: [...(random.chance(0.5) ? [lastRule] : []), jump("KUBE-POSTROUTING")],
          },
          { name: "KUBE-SERVICES", rules: services },
          { name: "KUBE-NODEPORTS", rules: nodePorts },
          { name: "KUBE-MARK-MASQ", rules: [{ matches: [], target: { kind: "mark", ...mark } }] },
          { name: "KUBE-POSTROUTING", rules: postrouting },
          ...chains,
        ],
      },
      {
        name: "filter",
        chains: ["INPUT", "FORWARD", "OUTPUT"]
          .map(
            (name): Chain => ({
              name,
              policy: "ACCEPT",
              rules:
                refused.length === 0 ? [] : [{ matches: [onlyNew], target: { kind: "jump", chain: "KUBE-REFUSED" } }],
            }),
          )
          .concat(refused.length === 0 ? [] : [{ name: "KUBE-REFUSED", rules: refused }]),
      },
    ],
  };
}

function portMatch(protocol: "tcp" | "udp", port: number): readonly Match[] {
  return [
    { kind: "protocol", negated: false, protocol },
    { kind: protocol, destinationPorts: { negated: false, from: port, to: port } },
  ];
}

function serviceChains(
  random: RandomSource,
  { family, name, endpoints }: { family: Family; name: string; endpoints: number },
): readonly Chain[] {
  const world = WORLD[family];
  const reachable = [
    ...world.from.pod1.slice(0, 1),
    ...world.from.pod2,
    ...world.from.remote.slice(0, 1),
    ...world.from.outside.slice(0, 1),
  ];
  const picks: Rule[] = [];
  const chains: Chain[] = [];
  for (let index = 0; index < endpoints; index++) {
    const address = randomAddress(random, reachable);
    const chain = `${name.replace("SVC", "SEP")}-${index}`;
    const isLast = index === endpoints - 1;
    const chance: Match = {
      kind: "statistic",
      mode: "random",
      negated: false,
      threshold: Math.round(2 ** 31 / (endpoints - index)),
    };
    picks.push({ matches: isLast ? [] : [chance], target: { kind: "jump", chain } });
    chains.push({
      name: chain,
      rules: [
        {
          matches: [{ kind: "source", negated: false, cidr: singleBlock(address) }],
          target: { kind: "jump", chain: "KUBE-MARK-MASQ" },
        },
        {
          // A port can be translated only where the protocol is known to have one; the chain serves TCP and UDP here.
          matches: [{ kind: "protocol", negated: false, protocol: "tcp" }],
          target: {
            kind: "dnat",
            to: { ...PLAIN, addresses: { from: address, to: address }, ports: { from: 3000, to: 3000 } },
          },
        },
        { matches: [], target: { kind: "dnat", to: { ...PLAIN, addresses: { from: address, to: address } } } },
      ],
    });
  }
  return [{ name, rules: picks }, ...chains];
}

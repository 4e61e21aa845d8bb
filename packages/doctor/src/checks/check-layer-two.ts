import { formatSocketAddress } from "@svcproxy/topology";
import type { Cause } from "../cause.ts";
import { judgeLayer, type LayerPacket, type LayerPlace, type LayerVerdict } from "../layer-two/judge-layer.ts";
import { type LayerChain, readLayerChains } from "../layer-two/layer-chain.ts";
import type { Observation, ObservedHost } from "../observation.ts";
import { causeOf, type Finding } from "../walk/finding.ts";
import { ownerOfRule } from "../walk/owner-of-rule.ts";
import type { Leaving } from "../walk/stop.ts";
import { VXLAN_PORT } from "./check-tunnel.ts";

/** A packet that comes by chains below IP on its way to an endpoint or back. */
export interface Crossing {
  readonly at: ObservedHost;
  readonly place: LayerPlace;
  readonly packet: LayerPacket;
  /** `connections to it`, `its answers`, … */
  readonly what: string;
}

/** Rules below IP that drop what leaves for endpoints, or comes back from them. */
export function checkLayerTwo(leaving: readonly Leaving[], observation: Observation): readonly Cause[] {
  const found = new Map<string, { readonly finding: Finding; readonly at: ObservedHost; readonly ways: Leaving[] }>();
  for (const way of leaving) {
    for (const crossing of crossingsOf(way, observation)) {
      const verdict = judgeCrossing(crossing);
      if (verdict.kind !== "drops") continue;
      const finding = layerFinding(verdict, crossing.what);
      const key = `${crossing.at.name} ${finding.subject}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { finding, at: crossing.at, ways: [way] });
      else known.ways.push(way);
      break;
    }
  }
  return Array.from(found.values(), ({ finding, at, ways }) =>
    causeOf(finding, {
      host: at.name,
      sufferers: ways.map(({ sufferer }) => sufferer),
      endpoints: ways.map(({ endpoint }) => formatSocketAddress(endpoint)),
    }),
  );
}

const chainsOf = new WeakMap<ObservedHost, readonly LayerChain[]>();

export function judgeCrossing({ at, place, packet }: Crossing): LayerVerdict {
  let chains = chainsOf.get(at);
  if (chains === undefined) {
    chains = readLayerChains(
      at.snapshot.nftJson,
      at.snapshot.rules?.texts.map(({ text }) => text),
    );
    chainsOf.set(at, chains);
  }
  return chains.length === 0 ? { kind: "passes" } : judgeLayer(chains, { place, packet });
}

export function layerFinding(verdict: Exclude<LayerVerdict, { readonly kind: "passes" }>, what: string): Finding {
  const { chain, rule } = verdict;
  const place = `${chain.family} ${chain.table} ${chain.name}`;
  const subject = rule === undefined ? `nft ${place} policy` : `nft ${place} handle ${rule.handle}`;
  return {
    code: "FOREIGN_RULE_DROPS",
    subject,
    text: `${rule === undefined ? `The policy of nft ${place}` : `A rule of nft ${place}`} drops ${what}, below what iptables shows`,
    evidence: [
      rule === undefined
        ? `no rule of ${place} accepts it, and its policy is drop`
        : `${rule.text} # handle ${rule.handle}`,
      ...(rule?.packets === undefined ? [] : [`it has counted ${rule.packets} packets so far`]),
    ],
    suspect: ownerOfRule({ table: chain.table, chain: chain.name }) ?? byFamily(chain),
    remedy:
      rule === undefined
        ? [`nft 'add chain ${place} { policy accept; }'`]
        : [`nft delete rule ${place} handle ${rule.handle}`],
    hint: "Let what is for pods through before it, or take it away",
  };
}

function byFamily({ family, table }: LayerChain): string | undefined {
  if (family === "bridge" && table === "filter") return "somebody by ebtables";
  if (family === "arp" && table === "filter") return "somebody by arptables";
  return undefined;
}

/** Where a connection to an endpoint, its answer, and the ARP that it takes come by chains below IP. */
export function crossingsOf(way: Leaving, { peers }: Observation): readonly Crossing[] {
  const { at, endpoint, protocol, source, interface: out } = way;
  const there: LayerPacket = { kind: "ip", source, destination: endpoint.address, protocol, port: endpoint.port };
  const back: LayerPacket = {
    ...{ kind: "ip", source: endpoint.address, destination: source, protocol, sourcePort: endpoint.port },
  };
  const isLocal = endpoint.host === at.name;
  const link = at.snapshot.links.find(({ name }) => name === out);
  const arp = isLocal || link?.kind !== "vxlan" ? arpCrossings(at, { device: out, asked: way.nextHop }) : [];
  const own = [...deviceCrossings(at, { device: out, there, back }), ...arp];
  if (link?.kind === "bridge") {
    const port = portOf(at, { bridge: out, address: way.nextHop });
    return [...own, ...bridgeCrossings(at, { bridge: out, port, there, back, way })];
  }
  if (link?.kind !== "vxlan") return own;
  const peer = endpoint.host === undefined ? undefined : peers.get(endpoint.host);
  const peerAddress = at.plan.hosts.find(({ name }) => name === endpoint.host)?.addresses[0];
  const [ownAddress] = at.plan.host.addresses;
  if (peerAddress === undefined || ownAddress === undefined) return own;
  const outer = { kind: "ip", protocol: "udp", port: link.vxlan?.port ?? VXLAN_PORT } as const;
  const outward: LayerPacket = { ...outer, source: ownAddress, destination: peerAddress };
  const inward: LayerPacket = { ...outer, source: peerAddress, destination: ownAddress };
  return [
    ...own,
    ...underlay(at, { to: peerAddress, there: outward, back: inward }),
    ...(peer === undefined ? [] : underlay(peer, { to: ownAddress, there: inward, back: outward })),
    ...(peer === undefined ? [] : deviceCrossings(peer, { device: out, there: back, back: there })),
  ];
}

interface Both {
  readonly there: LayerPacket;
  readonly back: LayerPacket;
}

function underlay(at: ObservedHost, { to, there, back }: Both & { readonly to: string }): readonly Crossing[] {
  const answer = at.router.lookup({ destination: addressIn(at, to), mark: 0, inInterface: "lo" });
  if (answer.kind !== "found" || answer.route.interface === undefined) return [];
  const { interface: device, gateway } = answer.route;
  return [
    ...deviceCrossings(at, { device, there, back }, "the overlay's packets"),
    ...arpCrossings(at, { device, asked: gateway ?? to }),
  ];
}

/** A host's address is one of the topology, and was read there. */
function addressIn(at: ObservedHost, text: string) {
  const found = at.plan.hosts.flatMap(({ addresses }) => addresses).find((address) => address === text);
  if (found === undefined) throw new TypeError(`${text} is no address of a host`);
  return found;
}

function deviceCrossings(
  at: ObservedHost,
  { device, there, back }: Both & { readonly device: string },
  what = "connections to services",
): readonly Crossing[] {
  return [
    {
      ...{ at, what, place: { family: "netdev", hook: "egress", device } },
      packet: { ...there, outDevice: device },
    },
    {
      ...{ at, place: { family: "netdev", hook: "ingress", device } },
      what: what === "connections to services" ? "the answers of connections to services" : what,
      packet: { ...back, inDevice: device },
    },
  ];
}

function arpCrossings(
  at: ObservedHost,
  { device, asked }: { readonly device: string; readonly asked: string },
): readonly Crossing[] {
  if (asked.includes(":")) return [];
  const what = "ARP for neighbours";
  return [
    {
      at,
      what,
      place: { family: "arp", hook: "output" },
      packet: { kind: "arp", destination: asked, outDevice: device },
    },
    { at, what, place: { family: "arp", hook: "input" }, packet: { kind: "arp", source: asked, inDevice: device } },
  ];
}

/** The port of a bridge behind which an address is, as the bridge has learnt it. */
export function portOf(
  { snapshot }: ObservedHost,
  { bridge, address }: { readonly bridge: string; readonly address: string },
): string | undefined {
  const mac = snapshot.neighbours.find((one) => one.interface === bridge && one.address === address)?.mac;
  if (mac === undefined) return undefined;
  const ports = new Set(snapshot.links.filter(({ master }) => master === bridge).map(({ name }) => name));
  return snapshot.forwarding.find(
    (entry) => entry.mac.toLowerCase() === mac.toLowerCase() && ports.has(entry.interface),
  )?.interface;
}

function bridgeCrossings(
  at: ObservedHost,
  {
    bridge,
    port,
    there,
    back,
    way,
  }: Both & { readonly bridge: string; readonly port: string | undefined; readonly way: Leaving },
): readonly Crossing[] {
  const out = { bridge, ...(port === undefined ? {} : { outDevice: port }) };
  const into = { bridge, ...(port === undefined ? {} : { inDevice: port }) };
  const arp = { kind: "arp", destination: way.nextHop } as const;
  const arpBack = { kind: "arp", source: way.nextHop } as const;
  const on = (hook: string, packet: LayerPacket, what: string): Crossing => ({
    ...{ at, what, packet, place: { family: "bridge", hook } },
  });
  const connections = "connections to services";
  const answers = "the answers of connections to services";
  const neighbours = "ARP for neighbours";
  const isFromBridge = way.sufferer.client === "pod" || way.sufferer.client === "self";
  return [
    on(isFromBridge ? "forward" : "output", { ...there, ...out }, connections),
    on("postrouting", { ...there, ...out }, connections),
    on("prerouting", { ...back, ...into }, answers),
    on(
      isFromBridge ? "forward" : "input",
      isFromBridge ? { ...back, bridge, ...(port === undefined ? {} : { inDevice: port }) } : { ...back, ...into },
      answers,
    ),
    on("output", { ...arp, ...out }, neighbours),
    on("input", { ...arpBack, ...into }, neighbours),
    ...(port === undefined ? [] : deviceCrossings(at, { device: port, there, back })),
  ];
}

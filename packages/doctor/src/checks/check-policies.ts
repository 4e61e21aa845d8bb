import type { BlockingPolicy } from "@svcproxy/host";
import { cidrContains, formatCidr, type IpAddress, parseIpAddress } from "@svcproxy/topology";
import type { ObservedHost } from "../observation.ts";
import type { Finding } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";
import { VXLAN_PORT } from "./check-tunnel.ts";

/** A packet on its way out, and its answer: what an IPsec policy may ask for. */
interface Exchange {
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly protocol: string;
  readonly port: number;
  /** `connections to services`, `the overlay's packets`. */
  readonly what: string;
}

/**
 * `ip xfrm policy … action block` drops after all rules were asked: connections themselves, or what a tunnel makes of them.
 *
 * @param on the host whose policies are meant; default the one that the packet leaves
 */
export function blockedByPolicy(way: Leaving, on: ObservedHost = way.at): Finding | undefined {
  for (const exchange of exchangesOf(way)) {
    const policy = on.snapshot.blockingPolicies.find((one) => blocks(one, exchange));
    if (policy === undefined) continue;
    const { source, destination, direction, upper } = policy;
    const selector = `src ${formatCidr(source)} dst ${formatCidr(destination)}${upper === undefined ? "" : ` ${upper}`} dir ${direction}`;
    return {
      code: "FOREIGN_RULE_DROPS",
      subject: `ip xfrm policy ${selector}`,
      text: `An IPsec policy of ${on.name} drops ${exchange.what}, after all rules were asked`,
      evidence: [`ip xfrm policy: ${selector} action block`, `${way.endpoint.address} gives no answer`],
      suspect: "an IPsec program (strongSwan, Libreswan), or somebody by ip xfrm",
      remedy: [`ip xfrm policy delete ${selector}`],
    };
  }
  return undefined;
}

function exchangesOf({ at, source, endpoint, protocol, interface: out }: Leaving): readonly Exchange[] {
  const from = parseIpAddress(source);
  const inner: readonly Exchange[] =
    from === undefined
      ? []
      : [{ from, to: endpoint.address, protocol, port: endpoint.port, what: "connections to services" }];
  const link = at.snapshot.links.find(({ name }) => name === out);
  if (link?.kind !== "vxlan") return inner;
  const [own] = at.plan.host.addresses;
  const [other] = at.plan.hosts.find(({ name }) => name === endpoint.host)?.addresses ?? [];
  if (own === undefined || other === undefined) return inner;
  const port = link.vxlan?.port ?? VXLAN_PORT;
  return [...inner, { from: own, to: other, protocol: "udp", port, what: "the overlay's packets" }];
}

function blocks({ source, destination, direction, upper = "" }: BlockingPolicy, exchange: Exchange): boolean {
  const { from, to, protocol, port } = exchange;
  const word = (name: string) => new RegExp(`(?:^| )${name} (\\S+)`).exec(upper)?.[1];
  const isThere = cidrContains(source, from) && cidrContains(destination, to);
  const isBack = direction !== "out" && cidrContains(source, to) && cidrContains(destination, from);
  if ((!isThere && !isBack) || (word("proto") ?? protocol) !== protocol) return false;
  // A tunnel's ends both send to its port; else an answer comes from the port that was dialled.
  const isTunnel = exchange.what !== "connections to services";
  const [dialled, other] = isThere || isTunnel ? [word("dport"), word("sport")] : [word("sport"), word("dport")];
  return other === undefined && (dialled === undefined || dialled === String(port));
}

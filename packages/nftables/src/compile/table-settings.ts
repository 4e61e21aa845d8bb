import {
  type Family,
  familyOf,
  type HostPlan,
  inputError,
  type PodDetector,
  servesNodePortsOnLocalhost,
  unreachable,
} from "@svcproxy/topology";

/** What of a plan the constant rules depend on; all the rest is elements of maps and sets. */
export interface TableSettings {
  readonly family: Family;
  /** The bit of the packet's mark that says that its source is to be rewritten. */
  readonly masqueradeMark: number;
  readonly pods: PodTest;
  readonly masqueradeAll: boolean;
  /** Which of the host's addresses serve NodePorts: those of a set, or all; `every-and-loopback`: 127.0.0.0/8 too. */
  readonly nodePorts: "listed" | "every" | "every-and-loopback";
  /** Whether neighbours have to be kept off loopback, because `route_localnet` lets them in. */
  readonly guardsLocalhost: boolean;
  /** Clients that each map of session affinity remembers at most. */
  readonly affinityTableSize: number;
  /** Whether packets and bytes of each service are counted, which takes rules for every packet. */
  readonly countsTraffic: boolean;
  /** Whether the table answers only as long as somebody renews its lease. */
  readonly isLeased: boolean;
}

/** How a rule knows a pod of this host. */
export type PodTest =
  | { readonly kind: "nobody" }
  /** By the set of their source addresses. */
  | { readonly kind: "source" }
  /** By where they come in. */
  | { readonly kind: "interface"; readonly name: string; readonly isPrefix: boolean };

export interface TableOptions {
  readonly family: Family;
  /** Default false. */
  readonly countsTraffic?: boolean;
  /** Default false. */
  readonly isLeased?: boolean;
}

export function tableSettings(
  plan: HostPlan,
  { family, countsTraffic = false, isLeased = false }: TableOptions,
): TableSettings {
  const { node, podDetector } = plan;
  const guardsLocalhost = family === 4 && servesNodePortsOnLocalhost(node);
  const { everyHostAddress } = plan.nodePortAddresses[family];
  return {
    family,
    masqueradeMark: 2 ** node.masqueradeBit,
    pods: podTest(podDetector, family),
    masqueradeAll: node.masqueradeAll,
    nodePorts: !everyHostAddress ? "listed" : guardsLocalhost ? "every-and-loopback" : "every",
    guardsLocalhost,
    affinityTableSize: node.affinityTableSize,
    countsTraffic,
    isLeased,
  };
}

/** @throws InputError BAD_NAME for a name that nft has no way to write */
function podTest(detector: PodDetector, family: Family): PodTest {
  switch (detector.kind) {
    case "none":
      return { kind: "nobody" };
    case "source":
      return detector.cidrs.some(({ address }) => familyOf(address) === family)
        ? { kind: "source" }
        : { kind: "nobody" };
    case "bridge":
      return { kind: "interface", name: writable(detector.interface), isPrefix: false };
    case "interfacePrefix":
      return { kind: "interface", name: writable(detector.prefix), isPrefix: true };
    default:
      return unreachable(detector);
  }
}

function writable(name: string): string {
  if (!/["\\]/.test(name)) return name;
  throw inputError(
    "BAD_NAME",
    `Cannot tell pods by interface ${JSON.stringify(name)}: nftables rules have no way to name it`,
    {
      hint: "Give it a name without quotes and backslashes, or tell pods by their addresses (detectLocalMode NodeCIDR)",
    },
  );
}

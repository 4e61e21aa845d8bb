import { type Cidr, cidrContains, familyOf, type IpAddress, parseCidr } from "./address.ts";

/** An address that means something else than one machine among others. */
export interface SpecialAddress {
  readonly kind: "unspecified" | "loopback" | "link-local" | "multicast" | "broadcast";
  /** `a loopback address` */
  readonly what: string;
  /** Whether the API server takes it neither for an endpoint nor for an external IP: ValidateNonSpecialIP in k8s.io/kubernetes/pkg/apis/core/validation. */
  readonly isRefusedByApiServer: boolean;
}

/** @returns undefined for an ordinary address */
export function specialAddress(address: IpAddress): SpecialAddress | undefined {
  if (!MAYBE_SPECIAL.test(address)) return undefined;
  return specialBlocks().find(({ cidr }) => cidrContains(cidr, address))?.special;
}

/** How the text of each of the blocks below begins: a file of a million addresses comes through here. */
const MAYBE_SPECIAL = /^(?:0\.|127\.|169\.|2[2-5]\d\.|::|fe|ff)/;

const REFUSED = { isRefusedByApiServer: true };

const SPECIAL_BLOCKS = [
  [["0.0.0.0/32", "::/128"], { kind: "unspecified", what: "the unspecified address", ...REFUSED }],
  [["127.0.0.0/8", "::1/128"], { kind: "loopback", what: "a loopback address", ...REFUSED }],
  [["169.254.0.0/16", "fe80::/10"], { kind: "link-local", what: "a link-local address", ...REFUSED }],
  [["224.0.0.0/24", "ff02::/16"], { kind: "multicast", what: "a link-local multicast address", ...REFUSED }],
  [["224.0.0.0/4", "ff00::/8"], { kind: "multicast", what: "a multicast address", isRefusedByApiServer: false }],
  [["255.255.255.255/32"], { kind: "broadcast", what: "the broadcast address", isRefusedByApiServer: false }],
] as const;

interface SpecialBlock {
  readonly cidr: Cidr;
  readonly special: SpecialAddress;
}

let parsedBlocks: readonly SpecialBlock[] | undefined;

/** The first that has an address says what it is. Parsed on first use: most topologies have no such address. */
function specialBlocks(): readonly SpecialBlock[] {
  parsedBlocks ??= SPECIAL_BLOCKS.flatMap(([blocks, special]) =>
    blocks.flatMap((text) => {
      const cidr = parseCidr(text);
      return cidr === undefined ? [] : [{ cidr, special }];
    }),
  );
  return parsedBlocks;
}

export type AddressRole = "VIP" | "endpoint" | "host";

/** Why an address cannot, or can hardly, be what it was given for. */
export interface AddressFinding {
  /** `error`: no packet can ever arrive. `warning`: some can, under conditions. */
  readonly severity: "error" | "warning";
  readonly reason: string;
  readonly hint: string;
}

/** @returns undefined where the address can be a VIP, an endpoint's (a pod's) or a host's */
export function judgeAddress(address: IpAddress, role: AddressRole): AddressFinding | undefined {
  if (role === "VIP" && METADATA.has(address)) {
    const reason = `${address} is where clouds serve a machine's metadata, credentials among it: whoever dials it gets the service instead`;
    return { severity: "warning", reason, hint: HINTS.VIP };
  }
  const special = specialAddress(address);
  if (special === undefined) return undefined;
  const { kind, what } = special;
  const consequence = CONSEQUENCES[kind](role, address);
  if (consequence === undefined) return undefined;
  const severity = kind === "link-local" || (kind === "loopback" && role !== "VIP") ? "warning" : "error";
  return { severity, reason: `${address} is ${what}: ${consequence}`, hint: HINTS[role] };
}

/** Of AWS (also its tasks, and IPv6), GCP, Azure (also its agent), Alibaba and Oracle. */
const METADATA: ReadonlySet<string> = new Set([
  ...["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254"],
  ...["168.63.129.16", "100.100.100.200", "192.0.0.192"],
]);

const HINTS: Readonly<Record<AddressRole, string>> = {
  VIP: "Take an address that no machine has, such as one of 10.96.0.0/12 or of fd00::/8",
  endpoint: "Give the address at which other hosts reach it",
  host: "Give the address at which other hosts reach it",
};

type Consequence = (role: AddressRole, address: IpAddress) => string | undefined;

const CONSEQUENCES: Readonly<Record<SpecialAddress["kind"], Consequence>> = {
  unspecified: () => "no packet can be sent to it",
  loopback: (role) =>
    role === "VIP"
      ? "whoever dials it reaches only itself"
      : `each host means itself by it${role === "endpoint" ? ", and of the data paths only the userspace proxy can always send there" : ""}`,
  // 169.254.20.10 and its like are customary for what each node serves itself, and iptables takes packets for them as for any other.
  "link-local": (role, address) => {
    if (familyOf(address) === 6) return "it means nothing without the link that it is on";
    return role === "VIP"
      ? "what this host itself reaches on a link by it, such as a name server of its own, it then reaches no more on the service's ports"
      : "it is only reached from the same link";
  },
  multicast: () => "no single machine has it, and no connection can be made to it",
  broadcast: () => "no single machine has it, and no connection can be made to it",
};

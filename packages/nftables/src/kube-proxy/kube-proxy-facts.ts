import {
  type Cidr,
  cidrContains,
  type Family,
  familyOf,
  type HostPlan,
  type Protocol,
  parseCidr,
} from "@svcproxy/topology";

/** What of kube-proxy itself makes its nftables mode behave one way or another. */
export interface KubeProxyFacts {
  /** `1.37.2`, with or without a `v`. */
  readonly version?: string;
  /** The feature gates that its configuration sets. */
  readonly gates?: ReadonlyMap<string, boolean>;
}

/** What becomes of NodePorts that are dialled on loopback: `left` to whatever listens there, `refused`, or `proxied` by kube-proxy itself. */
export type LocalhostHandling = "left" | "refused" | "proxied";

/** First versions with what the names say, as [minor, patch] of 1.x; later patches of an older minor have some of it too. */
const SINCE = {
  /** Alpha, behind a gate of its own. */
  nftablesMode: { minor: 29 },
  nftablesModeByDefault: { minor: 31 },
  /** @see https://github.com/kubernetes/kubernetes/pull/132456, and 133969 for 1.33.6 */
  ownLoadBalancers: { minor: 34, backports: [{ minor: 33, patch: 6 }] },
  /** @see https://github.com/kubernetes/kubernetes/pull/134117 */
  interfaceNames: {
    minor: 35,
    backports: [
      { minor: 33, patch: 6 },
      { minor: 34, patch: 2 },
    ],
  },
  localhostNodePorts: { minor: 37 },
} as const satisfies Readonly<Record<string, Since>>;

interface Since {
  readonly minor: number;
  readonly backports?: readonly { readonly minor: number; readonly patch: number }[];
}

/** Whether a version has something; undefined where the version is not known. */
export function hasSince({ version }: KubeProxyFacts, what: keyof typeof SINCE): boolean | undefined {
  const [, minor, patch = "0"] = VERSION.exec(version ?? "") ?? [];
  if (minor === undefined) return undefined;
  const since: Since = SINCE[what];
  if (Number(minor) >= since.minor) return true;
  return (since.backports ?? []).some((one) => one.minor === Number(minor) && Number(patch) >= one.patch);
}

/** A version of kube-proxy as people and programs write it: `1.37`, `v1.33.6`, `v1.31.4+k3s1`. */
export const VERSION = /^v?1\.(\d+)(?:\.(\d+))?(?:[-+][\w.+-]*)?$/;

const GATE = "KubeProxyNFTablesLocalhostNodePorts";

/**
 * What kube-proxy does with NodePorts on loopback. With the gate it serves TCP by a proxy of its own, where `nodePortAddresses` has a block of
 * loopback alone, and refuses the rest.
 *
 * @see kubernetes pkg/proxy/nftables/proxier.go, localhostNodePortRejectProtocols; pkg/proxy/util/nodeport_addresses.go, ContainsExplicitLoopback
 */
export function localhostNodePorts(
  { node }: HostPlan,
  family: Family,
  facts: KubeProxyFacts,
): (protocol: Protocol) => LocalhostHandling {
  const isOn = facts.gates?.get(GATE) === true && hasSince(facts, "localhostNodePorts") !== false;
  if (!isOn) return () => "left";
  const loopback = LOOPBACK[family];
  const isNamed = node.nodePortAddresses.some(
    ({ address }) => familyOf(address) === family && loopback !== undefined && cidrContains(loopback, address),
  );
  return (protocol) => (isNamed && protocol === "tcp" ? "proxied" : "refused");
}

const LOOPBACK: Readonly<Record<Family, Cidr | undefined>> = { 4: parseCidr("127.0.0.0/8"), 6: parseCidr("::1/128") };

import { hashName } from "@svcproxy/host";
import {
  type Endpoint,
  formatSocketAddress,
  type HostPlan,
  type ServicePort,
  type ServicePortPlan,
} from "@svcproxy/topology";

/** 40 bits, as kube-proxy has them. */
const HASH_LENGTH = 8;

/** kube-proxy cuts names that are longer, and ends them with `...`. */
const MAX_NAME_LENGTH = 240;

/** What the names of one service port's chains, maps and sets end with. */
export interface ChainNames {
  /** `HASH-namespace/name/protocol/port`. */
  readonly base: string;
  /** `HASH-namespace/name/protocol/port__ip/port`, colons of IPv6 as dots. */
  ofEndpoint(endpoint: Endpoint): string;
}

/** Names every port of a plan as kube-proxy's nftables mode does; ports of one name, which Kubernetes does not have, are told apart. */
export function nameChains({ ports }: HostPlan): (port: ServicePortPlan) => ChainNames {
  const names = new Map<ServicePort, ChainNames>();
  const taken = new Set<string>();
  for (const { service, port } of ports) {
    if (names.has(port)) continue;
    let text = `${service.namespace}/${service.name}/${port.protocol}/${port.name}`;
    while (taken.has(text)) text += `/${port.port}`;
    taken.add(text);
    names.set(port, {
      base: nameOf(text),
      ofEndpoint: (endpoint) => {
        const at = formatSocketAddress(endpoint);
        const colon = at.lastIndexOf(":");
        const address = at.slice(0, colon).replace(/[[\]]/g, "").replaceAll(":", ".");
        return nameOf(`${text}__${address}/${at.slice(colon + 1)}`);
      },
    });
  }
  return ({ port }) => {
    const name = names.get(port);
    if (name === undefined) throw new TypeError(`port ${port.port} is not in the plan`);
    return name;
  };
}

/** The hash tells names apart from which characters that nft does not take were left out. */
function nameOf(text: string): string {
  const name = `${hashName(text, HASH_LENGTH)}-${text.replaceAll(/[^\w./-]/g, "-")}`;
  return name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH - 3)}...` : name;
}

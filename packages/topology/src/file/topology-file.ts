import * as z from "zod/mini";
import { MAX_AFFINITY_TABLE_SIZE } from "../model.ts";

/*
 * The shape of a topology file: the one source of the JSON Schema (topology.schema.json, written by `pnpm schema`), of the
 * checks (check-shape.ts reads that schema) and of the types. It is needed when the schema is written, not when svcproxy runs:
 * loading a validation library would cost a command line more than reading the file does.
 */

const text = (description: string) => z.string().check(z.minLength(1), z.describe(description));
const flag = (description: string) => z.boolean().check(z.describe(description));
const list = <Item extends z.core.SomeType>(item: Item, description: string) =>
  z.array(item).check(z.describe(description));
const optional = z.optional;

/** One of two keys must be there. */
const oneOrMany = (one: string, many: string) => [{ required: [one] }, { required: [many] }];

const port = z
  .int()
  .check(z.minimum(1), z.maximum(65535))
  .register(z.globalRegistry, { id: "Port", description: "A transport port, 1–65535" });

const protocol = z
  .enum(["TCP", "UDP", "SCTP"])
  .register(z.globalRegistry, { id: "Protocol", description: "Transport protocol, TCP where there is none" });

/** A pattern for editors; what an address means is checked where it is read, and the fault then names the slip. */
const ADDRESS = "[0-9]{1,3}([.][0-9]{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*";

const address = z.string().register(z.globalRegistry, {
  id: "Address",
  description: "An IPv4 or IPv6 address, 10.5.75.2 or fd00::2",
  pattern: `^(${ADDRESS})$`,
});

const cidr = z.string().register(z.globalRegistry, {
  id: "CIDR",
  description: "A block of addresses, 10.5.75.0/24 or fd00:5::/64",
  pattern: `^(${ADDRESS})/[0-9]{1,3}$`,
});

const podAddress = z.string().register(z.globalRegistry, {
  id: "PodAddress",
  description: "ip:port or [v6]:port; without a port where every service that uses the pod has a targetPort",
  pattern: `^(${ADDRESS}|[0-9.]+:[0-9]{1,5}|\\[[0-9a-fA-F:.]+\\]:[0-9]{1,5})$`,
});

const trafficPolicy = z.enum(["Cluster", "Local"]).register(z.globalRegistry, {
  id: "TrafficPolicy",
  description: "Cluster: all endpoints; Local: only those on the host that got the packet",
});

const hintName = z.union([
  z.string().check(z.minLength(1)),
  z.strictObject({ name: text("Name of the zone or node, as Kubernetes writes it") }),
]);

const pod = z
  .strictObject({
    name: text("Unique in the file; services name it under `endpoints`"),
    address: optional(podAddress),
    addresses: optional(list(podAddress, "Dual stack: one of each family, instead of `address`")),
    ready: optional(flag("Default true")),
    serving: optional(flag("Default true")),
    terminating: optional(flag("Default false; a serving one is used only where none is ready")),
    hints: optional(
      z.strictObject({
        forZones: optional(list(hintName, "Zones whose clients should use it")),
        forNodes: optional(list(hintName, "Hosts whose clients should use it")),
      }),
    ),
  })
  .register(z.globalRegistry, {
    id: "Pod",
    description: "Something that runs on a host and serves",
    anyOf: oneOrMany("address", "addresses"),
  });

const host = z
  .strictObject({
    name: text("Unique in the file; `--host` names it"),
    address: optional(address),
    addresses: optional(
      list(address, "Several addresses, or dual stack, instead of `address`; the first of a family is the main one"),
    ),
    podCIDR: optional(cidr),
    podCIDRs: optional(list(cidr, "Dual stack: one of each family, instead of `podCIDR`")),
    zone: optional(text("For topology hints")),
    pods: optional(list(pod, "What runs on it")),
  })
  .register(z.globalRegistry, {
    id: "Host",
    description: "A machine, with the pods on it",
    anyOf: oneOrMany("address", "addresses"),
  });

const servicePort = z
  .strictObject({
    name: optional(text("Unique in the service")),
    protocol: optional(protocol),
    port,
    targetPort: optional(port),
    nodePort: optional(port),
  })
  .register(z.globalRegistry, {
    id: "ServicePort",
    description: "A port of the service; `targetPort` defaults to the pod's own, `nodePort` opens one on every host",
  });

const service = z
  .strictObject({
    name: text("Unique in its namespace"),
    namespace: optional(text("Default `default`")),
    id: optional(text("Ends the chain name KUBE-SVC-…; default: the name's ASCII letters and digits")),
    clusterIP: optional(
      z.string().register(z.globalRegistry, {
        id: "ClusterIP",
        description: "The virtual IP, or None for a headless service",
        pattern: `^(None|${ADDRESS})$`,
      }),
    ),
    clusterIPs: optional(list(address, "Dual stack: one of each family, instead of `clusterIP`")),
    ports: list(servicePort, "At least one, unless the service is headless"),
    endpoints: optional(
      list(
        z.string().check(z.minLength(1)),
        "Who serves: a pod's name, or ip:port for one that runs on no listed host",
      ),
    ),
    sessionAffinity: optional(z.enum(["None", "ClientIP"])),
    sessionAffinityTimeoutSeconds: optional(z.int().check(z.minimum(1), z.maximum(86400))),
    externalIPs: optional(list(address, "Further addresses that the hosts serve")),
    loadBalancerIPs: optional(list(address, "Addresses of a load balancer whose packets arrive here unchanged")),
    loadBalancerSourceRanges: optional(list(cidr, "Who may use the load-balancer IPs; nobody listed: everyone")),
    internalTrafficPolicy: optional(trafficPolicy),
    externalTrafficPolicy: optional(trafficPolicy),
    healthCheckNodePort: optional(port),
    proxyProtocol: optional(z.enum(["v1", "v2"])),
  })
  .register(z.globalRegistry, {
    id: "Service",
    description: "A virtual IP and who serves it",
    anyOf: oneOrMany("clusterIP", "clusterIPs"),
  });

const node = z
  .strictObject({
    detectLocalMode: optional(
      z
        .enum(["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"])
        .check(
          z.describe(
            "How this host's pods are told from other clients; default: ClusterCIDR where clusterCIDR is given, else NodeCIDR, the host's podCIDR",
          ),
        ),
    ),
    detectLocal: optional(
      z.strictObject({
        bridgeInterface: optional(text("For detectLocalMode BridgeInterface")),
        interfaceNamePrefix: optional(text("For detectLocalMode InterfaceNamePrefix")),
      }),
    ),
    clusterCIDR: optional(
      z.string().check(z.describe("Where pods have their addresses; for dual stack two, joined by a comma")),
    ),
    masqueradeAll: optional(flag("Rewrite the source of everything that goes to a ClusterIP; default false")),
    masqueradeBit: optional(
      z.int().check(z.minimum(0), z.maximum(31), z.describe("Bit of the packet mark; default 14")),
    ),
    nodePortAddresses: optional(
      list(z.string(), "Blocks of host addresses that serve NodePorts, or just `primary`; default: all of them"),
    ),
    localhostNodePorts: optional(flag("NodePorts on 127.0.0.0/8 too; default false")),
    serviceCIDRs: optional(list(cidr, "Blocks that hold ClusterIPs and nothing else")),
    affinityTableSize: optional(
      z
        .int()
        .check(
          z.minimum(1),
          z.maximum(MAX_AFFINITY_TABLE_SIZE),
          z.describe("Clients that session affinity remembers at most, a map; default 65536 (nftables)"),
        ),
    ),
    canaryHosts: optional(
      list(
        text("A host's name"),
        "etcd alone: these hosts apply a change first, the others only once none of them is degraded by it",
      ),
    ),
    canarySeconds: optional(
      z
        .int()
        .check(z.minimum(0), z.maximum(86400), z.describe("How long the canaryHosts have a change first; default 30")),
    ),
  })
  .register(z.globalRegistry, {
    id: "Node",
    description: "Settings of the data path, with KubeProxyConfiguration's meaning",
  });

/** What a topology file may hold. */
export const topologyFile = z
  .strictObject({
    $schema: optional(z.string().check(z.describe("Where editors find this schema"))),
    hosts: list(host, "The machines, each with its pods"),
    services: optional(list(service, "The services, in the order of their rules")),
    node: optional(node),
  })
  .check(z.describe("Hosts, pods and services for svcproxy"));

export type TopologyFile = z.infer<typeof topologyFile>;

/** The text of topology.schema.json (JSON Schema 2020-12), made from the zod source; `pnpm schema` writes it, a test compares it. */
export function renderTopologySchema(): string {
  const schema = { $id: "svcproxy-topology", title: "svcproxy topology", ...z.toJSONSchema(topologyFile) };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

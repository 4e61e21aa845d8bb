import { parseTopology, type Topology } from "@svcproxy/topology";

export interface LargeTopologyOptions {
  readonly services: number;
  readonly endpoints: number;
  /** Hosts that the endpoints run on, evenly; 20 by default, less where there are fewer endpoints. */
  readonly hosts?: number;
}

/** Name of the host that rules are made for. */
export const LARGE_HOST = "node0";

/** The ClusterIP of a service of a large topology, on port 80. */
export function largeClusterIP(index: number): string {
  return `172.${16 + ((index + 1) >> 16)}.${((index + 1) >> 8) & 255}.${(index + 1) & 255}`;
}

/** Text of a topology file in which every service has endpoints of its own. */
export function largeTopologyText({ services, endpoints, hosts = 20 }: LargeTopologyOptions): string {
  const pods = services * endpoints;
  const podsPerHost = Math.ceil(pods / hosts);
  const lines = ["hosts:"];
  for (let host = 0; host * podsPerHost < pods; host++) {
    lines.push(
      `  - name: node${host}`,
      `    address: 192.168.${host}.1`,
      `    podCIDR: 10.${host}.0.0/16`,
      "    pods:",
    );
    for (let place = 0; place < podsPerHost && host * podsPerHost + place < pods; place++) {
      const name = `p${host * podsPerHost + place}`;
      lines.push(`      - { name: ${name}, address: "10.${host}.${(place + 2) >> 8}.${(place + 2) & 255}:8080" }`);
    }
  }
  lines.push("services:");
  for (let service = 0; service < services; service++) {
    const own = Array.from({ length: endpoints }, (_, index) => `p${service * endpoints + index}`);
    lines.push(
      `  - name: svc-${service}`,
      `    clusterIP: ${largeClusterIP(service)}`,
      "    ports: [{ port: 80 }]",
      `    endpoints: [${own.join(", ")}]`,
    );
  }
  return `${lines.join("\n")}\n`;
}

export function largeTopology(options: LargeTopologyOptions): Topology {
  return parseTopology(Buffer.from(largeTopologyText(options)), { file: "large" }).topology;
}

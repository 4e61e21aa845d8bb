import { type HostPlan, parseTopology, planHost } from "@svcproxy/topology";

export interface ContractPlanOptions {
  /** Endpoints of `default/web`: some of a, b and c. Default a and b. */
  readonly web?: readonly string[];
  /** Those of `default/dns`. Default a. */
  readonly dns?: readonly string[];
  /** The ClusterIP of `default/dns`. */
  readonly dnsAddress?: string;
  /** `default/extra` is there too. Default no. */
  readonly extra?: boolean;
  /** Whether there is IPv6. Default yes. */
  readonly v6?: boolean;
  /** Which of the three services there are; default all. */
  readonly services?: readonly string[];
}

/** `default/web` with a NodePort, `default/dns` by UDP and TCP, `default/api` without an endpoint, seen from host one. */
export function contractPlan({
  web = ["a", "b"],
  dns = ["a"],
  dnsAddress = "10.100.0.2",
  extra = false,
  v6 = true,
  services = ["web", "dns", "api"],
}: ContractPlanOptions = {}): HostPlan {
  const ips = (v4: string, other: string) => `[${[v4, ...(v6 ? [other] : [])].map((ip) => `"${ip}"`).join(", ")}]`;
  const pod = (name: string, place: number) =>
    `{ name: ${name}, addresses: ${ips(`10.5.75.${place}:3000`, `[fd00:5::${place}]:3000`)} }`;
  const texts: Readonly<Record<string, string>> = {
    web: `{ name: web, clusterIPs: ${ips("10.100.0.1", "fd00:9::1")}, ports: [{ port: 80, nodePort: 30080 }], endpoints: [${web}] }`,
    dns: `{ name: dns, clusterIPs: ${ips(dnsAddress, "fd00:9::2")}, ports: [{ name: udp, port: 53, protocol: UDP }, { name: tcp, port: 53 }], endpoints: [${dns}] }`,
    api: `{ name: api, clusterIPs: ${ips("10.100.0.3", "fd00:9::3")}, ports: [{ port: 443 }], endpoints: [] }`,
    extra: `{ name: extra, clusterIPs: ${ips("10.100.0.4", "fd00:9::4")}, ports: [{ port: 81 }], endpoints: [c] }`,
  };
  const listed = [...services, ...(extra ? ["extra"] : [])].map((name) => `  - ${texts[name]}`);
  const text = `
hosts:
  - name: one
    addresses: ${ips("192.168.1.6", "fd00:1::6")}
    podCIDRs: ${ips("10.5.75.0/24", "fd00:5::/64")}
    pods: [${[pod("a", 2), pod("b", 3), pod("c", 4)].join(", ")}]
services:${listed.length === 0 ? " []" : `\n${listed.join("\n")}`}
`;
  const { topology } = parseTopology(new TextEncoder().encode(text), { file: "contract.yaml" });
  return planHost(topology, { host: "one" });
}

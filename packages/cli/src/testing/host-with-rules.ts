import type { NetworkNamespace } from "@svcproxy/lab";

/** One host with a service in both families; `udp` are the pods that serve it over UDP. */
export function topologyText({
  address = "192.0.2.6",
  udp = ["a", "b"],
}: {
  address?: string;
  udp?: readonly string[];
} = {}): string {
  return `
hosts:
  - name: one
    addresses: ["${address}", "2001:db8::6"]
    podCIDRs: [10.5.75.0/24, "fd00:5::/64"]
    pods:
      - { name: a, addresses: ["10.5.75.2:3000", "[fd00:5::2]:3000"] }
      - { name: b, addresses: ["10.5.75.3:3000", "[fd00:5::3]:3000"] }
services:
  - name: web
    clusterIPs: [10.100.0.1, "fd00:9::1"]
    ports: [{ port: 80, nodePort: 30080 }]
    endpoints: [a, b]
  - name: dns
    clusterIPs: [10.100.0.2, "fd00:9::2"]
    ports: [{ port: 53, protocol: UDP, nodePort: 30053 }]
    endpoints: [${udp.join(", ")}]
`;
}

/** All rules of a variant without comments and counters; a table that holds nothing is left out. */
export async function saveRules(namespace: NetworkNamespace, variant: string): Promise<string> {
  const dumps = await Promise.all(
    ["iptables", "ip6tables"].map((tool) => namespace.run(`${tool}-${variant}-save`, [])),
  );
  const text = dumps.map(({ stdout }) => stdout).join("");
  const tables = text
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/ \[\d+:\d+\]$/gm, "")
    .split(/(?<=^COMMIT\n)/m);
  return tables.filter((table) => /^(-A |:\S+ -$)/m.test(table)).join("");
}

/** The shell command that gives conntrack a UDP flow of `client` to `service`, answered by `endpoint`; an empty one: by nobody. */
export function makeUdpFlow(client: string, service: string, endpoint: string, port = "53"): string {
  const [at, back] = endpoint === "" ? [service, port] : [endpoint, "3000"];
  return `conntrack -I -p udp -t 300 -s ${client} -d ${service} --sport 1000 --dport ${port} -r ${at} -q ${client} --reply-port-src ${back} --reply-port-dst 1000`;
}

/** The clients of all UDP flows that conntrack knows, sorted. */
export async function udpClients(namespace: NetworkNamespace): Promise<readonly string[]> {
  const dumps = await Promise.all(
    ["ipv4", "ipv6"].map((family) => namespace.run("conntrack", ["-L", "-p", "udp", "-f", family])),
  );
  const text = dumps.map(({ stdout }) => stdout).join("");
  return [...text.matchAll(/^udp .*? src=(\S+)/gm)].map(([, client = ""]) => client).sort();
}

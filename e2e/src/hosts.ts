import type { TopologyFile } from "@svcproxy/topology";

/** Where every host of the lab finds the topology. */
export const TOPOLOGY_FILE = "/run/svcproxy-lab/topology.json";

/** The document's two hosts, with IPv6 beside IPv4, and a service for each thing that a scenario looks at. */
export const HOSTS = {
  hosts: [
    {
      name: "cloudos1",
      addresses: ["192.168.1.6", "fd00:1::6"],
      podCIDRs: ["10.5.75.0/24", "fd00:5:75::/64"],
      pods: [
        { name: "os1_my1", addresses: ["10.5.75.2:3000", "[fd00:5:75::2]:3000"] },
        { name: "os1_my2", addresses: ["10.5.75.3:3000", "[fd00:5:75::3]:3000"] },
        // In the host's own network, and in no service: what svcproxy has to leave alone.
        { name: "agent1", address: "192.168.1.6:9100" },
      ],
    },
    {
      name: "cloudos2",
      addresses: ["192.168.1.7", "fd00:1::7"],
      podCIDRs: ["10.5.88.0/24", "fd00:5:88::/64"],
      pods: [
        { name: "os2_my1", addresses: ["10.5.88.2:3000", "[fd00:5:88::2]:3000"] },
        { name: "os2_my2", addresses: ["10.5.88.3:3000", "[fd00:5:88::3]:3000"] },
      ],
    },
  ],
  services: [
    {
      name: "service1",
      id: "1",
      clusterIP: "10.100.100.1",
      ports: [{ port: 7070, nodePort: 34211 }],
      endpoints: ["os1_my1", "os2_my1"],
    },
    {
      name: "service2",
      id: "2",
      clusterIP: "10.100.100.2",
      ports: [{ port: 6060, nodePort: 34212 }],
      endpoints: ["os1_my2", "os2_my2"],
    },
    {
      name: "everyone",
      clusterIP: "10.100.100.3",
      ports: [{ port: 80, targetPort: 3000 }],
      endpoints: ["os1_my1", "os1_my2", "os2_my1", "os2_my2"],
    },
    {
      name: "alone",
      clusterIP: "10.100.100.4",
      ports: [{ port: 80, targetPort: 3000, nodePort: 34214 }],
      endpoints: ["os1_my1"],
    },
    {
      name: "far",
      clusterIP: "10.100.100.5",
      ports: [{ port: 80, targetPort: 3000 }],
      endpoints: ["os2_my1"],
    },
    {
      name: "names",
      clusterIP: "10.100.100.6",
      ports: [{ port: 53, protocol: "UDP", targetPort: 3000, nodePort: 34216 }],
      endpoints: ["os1_my1", "os2_my1"],
    },
    {
      name: "nobody",
      clusterIP: "10.100.100.7",
      ports: [
        { name: "web", port: 80, nodePort: 34217 },
        { name: "names", port: 53, protocol: "UDP" },
      ],
      endpoints: [],
    },
    {
      // A round over both hosts: its endpoints are its own NodePorts.
      name: "loop",
      clusterIP: "10.100.100.11",
      ports: [
        { name: "web", port: 80, nodePort: 34220 },
        { name: "names", port: 53, protocol: "UDP", nodePort: 34220 },
      ],
      endpoints: ["192.168.1.6:34220", "192.168.1.7:34220"],
    },
    {
      name: "six",
      clusterIP: "fd00:100::1",
      ports: [{ port: 7070, nodePort: 34218 }],
      endpoints: ["os1_my1", "os2_my1"],
    },
    {
      name: "moving",
      clusterIP: "10.100.100.9",
      ports: [{ port: 80, targetPort: 3000, nodePort: 34219 }],
      endpoints: ["os1_my1", "os2_my1"],
    },
  ],
} satisfies TopologyFile;

/** The same hosts where `moving` has these endpoints, and where the service `late` is there or not. */
export function hostsWith({
  endpoints,
  late,
}: {
  readonly endpoints: readonly string[];
  readonly late: boolean;
}): TopologyFile {
  const services = HOSTS.services.map((service) =>
    service.name === "moving" ? { ...service, endpoints: [...endpoints] } : service,
  );
  const lateService = {
    name: "late",
    clusterIP: "10.100.100.10",
    ports: [{ port: 80, targetPort: 3000 }],
    endpoints: ["os1_my2", "os2_my2"],
  };
  return { ...HOSTS, services: late ? [...services, lateService] : services };
}

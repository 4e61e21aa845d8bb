import type { ParsedTopology } from "../text/finish-reading.ts";
import { type ReadOptions, readTopologyDocuments } from "./parse-topology.ts";
import type { TopologyFile } from "./topology-file.ts";

/** The set-up of the founding document, as examples/cloudos.yaml has it; it is data, so that no file is needed to try svcproxy. */
export const EXAMPLE_TOPOLOGY_FILE: TopologyFile = {
  hosts: [
    {
      name: "cloudos1",
      address: "192.168.1.6",
      podCIDR: "10.5.75.0/24",
      pods: [
        { name: "os1_my1", address: "10.5.75.2:3000" },
        { name: "os1_my2", address: "10.5.75.3:3000" },
      ],
    },
    {
      name: "cloudos2",
      address: "192.168.1.7",
      podCIDR: "10.5.88.0/24",
      pods: [
        { name: "os2_my1", address: "10.5.88.2:3000" },
        { name: "os2_my2", address: "10.5.88.3:3000" },
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
  ],
};

/** The built-in example, used where a command only prints and no topology is given. */
export function exampleTopology(options: ReadOptions = {}): ParsedTopology {
  const source = { file: "<built-in example>", text: "" };
  return readTopologyDocuments(
    { documents: [{ source, index: 0, value: EXAMPLE_TOPOLOGY_FILE }], faults: [] },
    options,
  );
}

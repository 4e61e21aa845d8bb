import { expect, test } from "vitest";
import { parseTopology } from "../file/parse-topology.ts";
import { servesNodePortsOnLocalhost } from "./node-port-addresses.ts";

test.for([
  ["are off unless asked for", "nodePortAddresses: [127.0.0.0/8]", false],
  ["are on where asked for", "localhostNodePorts: true", true],
  ["are off where the blocks leave loopback out", "localhostNodePorts: true, nodePortAddresses: [192.0.2.0/24]", false],
  ["are on where a block has it", "localhostNodePorts: true, nodePortAddresses: [192.0.2.0/24, 127.0.0.0/8]", true],
  ["are on where a block is everything", "localhostNodePorts: true, nodePortAddresses: [0.0.0.0/0]", true],
  ["are on where the blocks are of IPv6 only", 'localhostNodePorts: true, nodePortAddresses: ["fd00::/8"]', true],
  ["are off by `primary`", "localhostNodePorts: true, nodePortAddresses: [primary]", false],
] as const)("NodePorts on localhost %s", ([, node, expected]) => {
  const { topology } = parseTopology(Buffer.from(`hosts: []\nservices: []\nnode: { ${node} }\n`), { file: "test" });
  expect(servesNodePortsOnLocalhost(topology.node)).toBe(expected);
});

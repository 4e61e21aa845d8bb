import { readFileSync } from "node:fs";
import { loadInput, parseProxyConfiguration, parseTopology, readInput, type Topology } from "@svcproxy/topology";
import type { FlowScenario } from "./flow.ts";

/** Services enough to give every tree of chains some depth. */
const FILLERS = 60;

/** The topology of a scenario with its settings; `crowded`: its services among many others. */
export function flowTopology(scenario: FlowScenario, { crowded }: { readonly crowded: boolean }): Topology {
  const { services, node, ...topology } = readFlowFile(scenario.file);
  return {
    ...topology,
    services: [...services, ...(crowded ? fillers() : [])],
    node: { ...node, ...(scenario.configuration === undefined ? {} : settingsOf(scenario.configuration)) },
  };
}

/** The topology of a file, or of the Kubernetes objects in it. */
export function readFlowFile(file: URL): Topology {
  return readInput(loadInput([{ file: file.pathname, bytes: readFileSync(file) }])).topology;
}

function settingsOf(configuration: Readonly<Record<string, unknown>>) {
  const kind = { apiVersion: "kubeproxy.config.k8s.io/v1alpha1", kind: "KubeProxyConfiguration" };
  const bytes = Buffer.from(JSON.stringify({ ...kind, ...configuration }));
  return parseProxyConfiguration({ file: "configuration", bytes }).settings;
}

function fillers(): Topology["services"] {
  const services = Array.from({ length: FILLERS }, (_, index) => ({
    name: `filler-${index}`,
    clusterIPs: [`10.96.0.${110 + index}`, `fd96::1:${index}`],
    ports: [{ port: 80, nodePort: 30_100 + index }],
    endpoints: index % 2 === 0 ? ["10.20.0.4:80", "[fd20::4]:80"] : [],
  }));
  return parseTopology(Buffer.from(JSON.stringify({ hosts: [], services })), { file: "fillers" }).topology.services;
}

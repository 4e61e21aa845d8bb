import type { FlowScenario } from "../flow.ts";
import { ENDPOINT_FLOWS } from "./endpoint-flows.ts";
import { OBJECT_FLOWS } from "./object-flows.ts";
import { SERVICE_FLOWS } from "./service-flows.ts";
import {
  BRIDGE_FLOWS,
  CLUSTER_CIDR_FLOWS,
  LOCALHOST_FLOWS,
  MASQUERADE_ALL_FLOWS,
  NO_DETECTION_FLOWS,
  NODE_SETTING_FLOWS,
  PRIMARY_ADDRESS_FLOWS,
} from "./setting-flows.ts";

/** What a service can say, in both families. */
export const FEATURES = new URL("features.yaml", import.meta.url);
/** The settings of the data path, all at once. */
export const NODE_SETTINGS = new URL("node-settings.yaml", import.meta.url);
const endpointChoice = new URL("endpoint-choice.yaml", import.meta.url);
const objects = new URL("objects.yaml", import.meta.url);

export const LOCALHOST: FlowScenario = {
  name: "NodePorts on 127.0.0.1, mark bit 0",
  file: FEATURES,
  configuration: { iptables: { localhostNodePorts: true, masqueradeBit: 0 } },
  flows: LOCALHOST_FLOWS,
};

export const FLOW_SCENARIOS: readonly FlowScenario[] = [
  { name: "what a service can say", file: FEATURES, flows: SERVICE_FLOWS },
  { name: "which endpoints count", file: endpointChoice, flows: ENDPOINT_FLOWS },
  { name: "Kubernetes objects", file: objects, flows: OBJECT_FLOWS },
  { name: "the settings of the data path at once", file: NODE_SETTINGS, flows: NODE_SETTING_FLOWS },
  {
    name: "nodePortAddresses primary",
    file: NODE_SETTINGS,
    configuration: { nodePortAddresses: ["primary"] },
    flows: PRIMARY_ADDRESS_FLOWS,
  },
  LOCALHOST,
  {
    name: "masqueradeAll, mark bit 31",
    file: FEATURES,
    configuration: { iptables: { masqueradeAll: true, masqueradeBit: 31 } },
    flows: MASQUERADE_ALL_FLOWS,
  },
  {
    name: "pods by their block, one a family",
    file: FEATURES,
    configuration: { detectLocalMode: "ClusterCIDR", clusterCIDR: "10.20.0.0/16,fd20::/63" },
    flows: CLUSTER_CIDR_FLOWS,
  },
  {
    name: "pods by their bridge",
    file: FEATURES,
    configuration: { detectLocalMode: "BridgeInterface", detectLocal: { bridgeInterface: "cni0" } },
    flows: BRIDGE_FLOWS,
  },
  {
    name: "pods like other clients",
    file: FEATURES,
    configuration: { detectLocalMode: "ClusterCIDR" },
    flows: NO_DETECTION_FLOWS,
  },
];

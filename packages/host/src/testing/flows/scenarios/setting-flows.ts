import type { Flow } from "../flow.ts";

const ALL_WEB = ["web-1", "web-2", "web-3"] as const;
const LOCAL = ["web-1", "web-2"] as const;

/** What listens on loopback is for the host alone, also once `route_localnet` lets in what neighbours send there (CVE-2020-8558). */
const GUARDED: readonly Flow[] = [
  {
    name: "the host reaches what listens on loopback",
    ...{ from: "loopback", to: "loopback", port: 8080 },
    family: 4,
    expected: { leftTo: "host" },
  },
  {
    name: "by UDP too",
    ...{ from: "loopback", to: "loopback", port: 8080, protocol: "udp" },
    family: 4,
    expected: { leftTo: "host" },
  },
  {
    name: "a neighbour that sends to 127.0.0.1 does not",
    ...{ from: "outside", to: "loopback", port: 8080 },
    family: 4,
    expected: "kept off",
  },
  {
    name: "nor by UDP",
    ...{ from: "outside", to: "loopback", port: 8080, protocol: "udp" },
    family: 4,
    expected: "kept off",
  },
  {
    name: "a pod neither",
    ...{ from: "pod", to: "loopback", port: 8080 },
    family: 4,
    expected: "kept off",
  },
];

/** The settings of node-settings.yaml, all at once: devices whose name begins with `veth` lead to pods. */
export const NODE_SETTING_FLOWS: readonly Flow[] = [
  {
    name: "masqueradeAll rewrites a pod that dials a ClusterIP",
    ...{ from: "web-1", to: "web clusterIP", port: 80 },
    expected: { endpoints: LOCAL, port: 8080, masquerade: true },
  },
  {
    name: "under internal policy Local too",
    ...{ from: "pod", to: "here clusterIP", port: 80 },
    expected: { endpoints: ["web-1"], port: 8080, masquerade: true },
  },
  {
    name: "a NodePort is served on the addresses that are listed, and masqueradeAll is not for external policy Local",
    ...{ from: "outside", to: "host's second address", port: 30080 },
    expected: { endpoints: ["web-1"], port: 8080, masquerade: false },
  },
  {
    name: "a NodePort under policy Cluster is masqueraded by the other mark",
    ...{ from: "outside", to: "host's second address", port: 30081 },
    expected: { endpoints: LOCAL, port: 8080, masquerade: true },
  },
  {
    name: "a NodePort on an address that is not listed is left to the host",
    ...{ from: "outside", to: "host", port: 30080 },
    expected: { leftTo: "host" },
  },
  {
    name: "for a pod too",
    ...{ from: "pod", to: "host", port: 30081 },
    expected: { leftTo: "host" },
  },
  {
    name: "a client behind a device with the prefix is a pod",
    ...{ from: "web-1", to: "host's second address", port: 30080 },
    expected: { endpoints: LOCAL, port: 8080, masquerade: "hairpin" },
  },
  {
    name: "one behind another device is not, whatever its address",
    ...{ from: "pod", to: "host's second address", port: 30080 },
    // A proxy sees a client's address, never the device.
    except: ["userspace"],
    expected: { endpoints: ["web-1"], port: 8080, masquerade: false },
  },
  {
    name: "the host reaches a NodePort on 127.0.0.1 with every endpoint, masqueraded",
    ...{ from: "loopback", to: "loopback", port: 30080 },
    family: 4,
    expected: { endpoints: LOCAL, port: 8080, masquerade: true },
  },
  {
    name: "nobody serves: refused on the addresses that are listed",
    ...{ from: "outside", to: "host's second address", port: 30099 },
    expected: "refused",
  },
  {
    name: "and left to the host on the others",
    ...{ from: "outside", to: "host", port: 30099 },
    // kube-proxy refuses it on every address of the host.
    except: ["kubernetes"],
    expected: { leftTo: "host" },
  },
  {
    name: "::1 serves no NodePort",
    ...{ from: "loopback", to: "loopback", port: 30080 },
    family: 6,
    expected: { leftTo: "host" },
  },
  ...GUARDED,
];

/** node-settings.yaml with NodePorts on the primary address only. */
export const PRIMARY_ADDRESS_FLOWS: readonly Flow[] = [
  {
    name: "a NodePort on the primary address",
    ...{ from: "outside", to: "host", port: 30081 },
    expected: { endpoints: LOCAL, port: 8080, masquerade: true },
  },
  {
    name: "one on another address is left to the host",
    ...{ from: "outside", to: "host's second address", port: 30081 },
    expected: { leftTo: "host" },
  },
];

/** features.yaml with NodePorts on 127.0.0.1. */
export const LOCALHOST_FLOWS: readonly Flow[] = [
  {
    name: "the host reaches a NodePort on 127.0.0.1",
    ...{ from: "loopback", to: "loopback", port: 30080 },
    family: 4,
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: true, sticky: true },
  },
  {
    name: "one under external policy Local too",
    ...{ from: "loopback", to: "loopback", port: 30081 },
    family: 4,
    expected: { endpoints: LOCAL, port: 8080, masquerade: true },
  },
  {
    name: "and one with endpoints elsewhere only",
    ...{ from: "loopback", to: "loopback", port: 30082 },
    family: 4,
    expected: { endpoints: ["web-2", "web-3"], port: 8080, masquerade: true },
  },
  {
    name: "by SCTP",
    ...{ from: "loopback", to: "loopback", port: 30090, protocol: "sctp" },
    family: 4,
    expected: { endpoints: ["sig-1"], port: 2905, masquerade: true },
  },
  {
    name: "a NodePort on the host's address is as it was",
    ...{ from: "outside", to: "host", port: 30081 },
    expected: { endpoints: ["web-1"], port: 8080, masquerade: false },
  },
  {
    name: "::1 serves no NodePort",
    ...{ from: "loopback", to: "loopback", port: 30080 },
    family: 6,
    // The document's rule takes every address of the host.
    except: ["document"],
    expected: { leftTo: "host" },
  },
  ...GUARDED,
];

/** features.yaml with every client of a ClusterIP masqueraded, by the highest bit that there is. */
export const MASQUERADE_ALL_FLOWS: readonly Flow[] = [
  {
    name: "a pod is masqueraded on a ClusterIP",
    ...{ from: "pod", to: "local clusterIP", port: 80 },
    expected: { endpoints: LOCAL, port: 8080, masquerade: true },
  },
  {
    name: "by UDP",
    ...{ from: "pod", to: "dns clusterIP", port: 53, protocol: "udp" },
    expected: { endpoints: ["dns-1"], port: 53, masquerade: true },
  },
  {
    name: "by SCTP",
    ...{ from: "pod", to: "signal clusterIP", port: 2905, protocol: "sctp" },
    expected: { endpoints: ["sig-1"], port: 2905, masquerade: true },
  },
  {
    name: "a client from outside too",
    ...{ from: "outside", to: "local clusterIP", port: 80 },
    expected: { endpoints: LOCAL, port: 8080, masquerade: true },
  },
  {
    name: "a pod keeps its address on a NodePort under policy Local",
    ...{ from: "pod", to: "host", port: 30081 },
    expected: { endpoints: LOCAL, port: 8080, masquerade: false },
  },
  {
    name: "and so does a client from outside",
    ...{ from: "outside", to: "host", port: 30081 },
    expected: { endpoints: ["web-1"], port: 8080, masquerade: false },
  },
  {
    name: "under policy Cluster a client from outside does not",
    ...{ from: "outside", to: "host", port: 30080 },
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: true, sticky: true },
  },
];

/** features.yaml where every host's pods are known by their address. */
export const CLUSTER_CIDR_FLOWS: readonly Flow[] = [
  {
    name: "a pod of this host keeps its address on a ClusterIP",
    ...{ from: "pod", to: "dns clusterIP", port: 53, protocol: "udp" },
    expected: { endpoints: ["dns-1"], port: 53, masquerade: false },
  },
  {
    name: "and so does a pod of another host",
    ...{ from: "web-2", to: "dns clusterIP", port: 53, protocol: "udp" },
    expected: { endpoints: ["dns-1"], port: 53, masquerade: false },
  },
  {
    name: "a client from outside does not",
    ...{ from: "outside", to: "dns clusterIP", port: 53, protocol: "udp" },
    expected: { endpoints: ["dns-1"], port: 53, masquerade: true },
  },
];

/** features.yaml where what comes in by the bridge cni0 is a pod. */
export const BRIDGE_FLOWS: readonly Flow[] = [
  {
    name: "a client on the bridge keeps its address on a ClusterIP",
    ...{ from: "pod", to: "dns clusterIP", port: 53, protocol: "udp" },
    expected: { endpoints: ["dns-1"], port: 53, masquerade: false },
  },
  {
    name: "one behind another device does not, whatever its address",
    ...{ from: "web-1", to: "dns clusterIP", port: 53, protocol: "udp" },
    expected: { endpoints: ["dns-1"], port: 53, masquerade: true },
  },
  {
    name: "the host itself is masqueraded",
    ...{ from: "host", to: "dns clusterIP", port: 53, protocol: "udp" },
    expected: { endpoints: ["dns-1"], port: 53, masquerade: true },
  },
  {
    name: "external policy Local sends a client on the bridge to every endpoint",
    ...{ from: "pod", to: "host", port: 30081 },
    expected: { endpoints: LOCAL, port: 8080, masquerade: false },
  },
  {
    name: "and one behind another device to the endpoints here",
    ...{ from: "web-1", to: "host", port: 30081 },
    except: ["userspace"],
    expected: { endpoints: ["web-1"], port: 8080, masquerade: "hairpin" },
  },
];

/** features.yaml where nothing tells pods from other clients. */
export const NO_DETECTION_FLOWS: readonly Flow[] = [
  {
    name: "the host keeps its address on a ClusterIP",
    ...{ from: "host", to: "local clusterIP", port: 80 },
    // The document rewrites whatever the host itself sends.
    except: ["document"],
    expected: { endpoints: LOCAL, port: 8080, masquerade: false },
  },
  {
    name: "so does a client from outside",
    ...{ from: "outside", to: "dns clusterIP", port: 53, protocol: "udp" },
    expected: { endpoints: ["dns-1"], port: 53, masquerade: false },
  },
  {
    name: "under external policy Local a pod is a client like others",
    ...{ from: "pod", to: "host", port: 30081 },
    expected: { endpoints: ["web-1"], port: 8080, masquerade: false },
  },
  {
    name: "but the host itself gets every endpoint, masqueraded",
    ...{ from: "host", to: "host", port: 30081 },
    expected: { endpoints: LOCAL, port: 8080, masquerade: true },
  },
];

import type { Flow } from "../flow.ts";

const WEB = ["web-1", "web-2"] as const;

/** The services of objects.yaml. */
export const OBJECT_FLOWS: readonly Flow[] = [
  {
    name: "a pod gets the ready endpoints of the slices, on the port of that name",
    ...{ from: "pod", to: "web clusterIP", port: 80 },
    expected: { endpoints: WEB, port: 8080, masquerade: false },
  },
  {
    name: "by another protocol those of the other port",
    ...{ from: "pod", to: "web clusterIP", port: 53, protocol: "udp" },
    expected: { endpoints: WEB, port: 5353, masquerade: false },
  },
  {
    name: "a client from outside gets them by the NodePort, masqueraded",
    ...{ from: "outside", to: "host", port: 30053, protocol: "udp" },
    expected: { endpoints: WEB, port: 5353, masquerade: true },
  },
  {
    name: "a load-balancer IP in mode VIP is answered on the host, for a client from outside",
    ...{ from: "outside", to: "web loadBalancerIP", port: 80 },
    expected: { endpoints: WEB, port: 8080, masquerade: true },
  },
  {
    name: "and for a pod",
    ...{ from: "pod", to: "web loadBalancerIP", port: 80 },
    expected: { endpoints: WEB, port: 8080, masquerade: true },
  },
  {
    name: "one in mode Proxy is left to the load balancer",
    ...{ from: "pod", to: "balancer", port: 80 },
    expected: { leftTo: "world" },
  },
  {
    name: "by UDP too",
    ...{ from: "pod", to: "balancer", port: 53, protocol: "udp" },
    expected: { leftTo: "world" },
  },
  {
    name: "the slices' hints keep a pod to the zone of its Node",
    ...{ from: "pod", to: "zonal clusterIP", port: 80 },
    expected: { endpoints: ["web-1"], port: 8080, masquerade: false },
  },
  {
    name: "internal policy Local keeps it to the endpoint on its Node",
    ...{ from: "pod", to: "local clusterIP", port: 80 },
    expected: { endpoints: ["web-1"], port: 8080, masquerade: false },
  },
  {
    name: "external policy Local does so for a client from outside",
    ...{ from: "outside", to: "host", port: 30082 },
    expected: { endpoints: ["web-1"], port: 8080, masquerade: false },
  },
  {
    name: "the host itself gets every ready endpoint by the NodePort",
    ...{ from: "host", to: "host", port: 30082 },
    expected: { endpoints: WEB, port: 8080, masquerade: true },
  },
];

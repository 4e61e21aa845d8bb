import type { Flow } from "../flow.ts";

const ALL_WEB = ["web-1", "web-2", "web-3"] as const;

/** The services of features.yaml, as host edge serves them. */
export const SERVICE_FLOWS: readonly Flow[] = [
  {
    name: "a pod gets every endpoint of a ClusterIP, with its own address",
    ...{ from: "pod", to: "web clusterIP", port: 80 },
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: false, sticky: true },
  },
  {
    name: "a second port of the service leads to the endpoints' other port",
    ...{ from: "pod", to: "web clusterIP", port: 9000 },
    expected: { endpoints: ALL_WEB, port: 9001, masquerade: false, sticky: true },
  },
  {
    name: "the host's own connection to a ClusterIP is masqueraded",
    ...{ from: "host", to: "local clusterIP", port: 80 },
    expected: { endpoints: ["web-1", "web-2"], port: 8080, masquerade: true },
  },
  {
    name: "an endpoint that reaches itself through its ClusterIP is masqueraded, and only then",
    ...{ from: "web-1", to: "local clusterIP", port: 80 },
    expected: { endpoints: ["web-1", "web-2"], port: 8080, masquerade: "hairpin" },
  },
  {
    name: "a client that is not a pod of the host is masqueraded on a ClusterIP",
    ...{ from: "outside", to: "web clusterIP", port: 80 },
    except: ["document"],
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: true, sticky: true },
  },
  {
    name: "so is another host's pod",
    ...{ from: "web-2", to: "dns clusterIP", port: 53, protocol: "udp" },
    except: ["document"],
    expected: { endpoints: ["dns-1"], port: 53, masquerade: true },
  },
  {
    name: "a NodePort under policy Cluster is masqueraded for a client from outside",
    ...{ from: "outside", to: "host", port: 30080 },
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: true, sticky: true },
  },
  {
    name: "and for a pod",
    ...{ from: "pod", to: "host", port: 30080 },
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: true, sticky: true },
  },
  {
    name: "and for the host itself",
    ...{ from: "host", to: "host", port: 30080 },
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: true, sticky: true },
  },
  {
    name: "so is an external IP",
    ...{ from: "outside", to: "web externalIP", port: 80 },
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: true, sticky: true },
  },
  {
    name: "a client inside the source ranges uses the load-balancer IP",
    ...{ from: "outside", to: "web loadBalancerIP", port: 80 },
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: true, sticky: true },
  },
  {
    name: "the host is inside the source ranges too",
    ...{ from: "host", to: "web loadBalancerIP", port: 80 },
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: true, sticky: true },
  },
  {
    name: "a client outside the source ranges gets no answer from the load-balancer IP",
    ...{ from: "stranger", to: "web loadBalancerIP", port: 80 },
    expected: "dropped",
  },
  {
    name: "nor does a pod outside of them",
    ...{ from: "pod", to: "web loadBalancerIP", port: 9000 },
    expected: "dropped",
  },
  {
    name: "but it may use the external IP, which has no ranges",
    ...{ from: "stranger", to: "web externalIP", port: 80 },
    expected: { endpoints: ALL_WEB, port: 8080, masquerade: true, sticky: true },
  },
  {
    name: "policy Local keeps a client from outside, and its address, to the endpoints here",
    ...{ from: "outside", to: "host", port: 30081 },
    expected: { endpoints: ["web-1"], port: 8080, masquerade: false },
  },
  {
    name: "on the load-balancer IP too",
    ...{ from: "stranger", to: "local loadBalancerIP", port: 80 },
    expected: { endpoints: ["web-1"], port: 8080, masquerade: false },
  },
  {
    name: "policy Local sends a pod to every endpoint, with its own address",
    ...{ from: "pod", to: "host", port: 30081 },
    expected: { endpoints: ["web-1", "web-2"], port: 8080, masquerade: false },
  },
  {
    name: "and the host itself, masqueraded",
    ...{ from: "host", to: "local loadBalancerIP", port: 80 },
    expected: { endpoints: ["web-1", "web-2"], port: 8080, masquerade: true },
  },
  {
    name: "under policy Local with endpoints elsewhere only, a client from outside gets no answer",
    ...{ from: "outside", to: "host", port: 30082 },
    expected: "dropped",
  },
  {
    name: "not on the external IP either",
    ...{ from: "stranger", to: "away externalIP", port: 80 },
    expected: "dropped",
  },
  {
    name: "nor a pod on the ClusterIP, whose policy is Local too",
    ...{ from: "pod", to: "away clusterIP", port: 80 },
    expected: "dropped",
  },
  {
    name: "but a pod gets through by the NodePort",
    ...{ from: "pod", to: "host", port: 30082 },
    expected: { endpoints: ["web-2", "web-3"], port: 8080, masquerade: false },
  },
  {
    name: "and so does the host by the external IP",
    ...{ from: "host", to: "away externalIP", port: 80 },
    expected: { endpoints: ["web-2", "web-3"], port: 8080, masquerade: true },
  },
  {
    name: "UDP goes the same way",
    ...{ from: "pod", to: "dns clusterIP", port: 53, protocol: "udp" },
    expected: { endpoints: ["dns-1"], port: 53, masquerade: false },
  },
  {
    name: "and TCP on the same number",
    ...{ from: "host", to: "dns clusterIP", port: 53 },
    expected: { endpoints: ["dns-1"], port: 53, masquerade: true },
  },
  {
    name: "SCTP on a ClusterIP",
    ...{ from: "pod", to: "signal clusterIP", port: 2905, protocol: "sctp" },
    expected: { endpoints: ["sig-1"], port: 2905, masquerade: false },
  },
  {
    name: "SCTP on a NodePort",
    ...{ from: "outside", to: "host", port: 30090, protocol: "sctp" },
    expected: { endpoints: ["sig-1"], port: 2905, masquerade: true },
  },
  {
    name: "an endpoint that runs on no listed host",
    ...{ from: "pod", to: "abroad clusterIP", port: 8443 },
    expected: { endpoints: ["abroad"], port: 443, masquerade: false },
  },
  ...(["tcp", "udp", "sctp"] as const).flatMap((protocol): Flow[] => [
    {
      name: `without an endpoint a pod is refused at once (${protocol})`,
      ...{ from: "pod", to: "nobody clusterIP", port: 80, protocol },
      expected: "refused",
    },
    {
      name: `so is the host (${protocol})`,
      ...{ from: "host", to: "nobody clusterIP", port: 80, protocol },
      expected: "refused",
    },
    {
      name: `so is a client of the NodePort (${protocol})`,
      ...{ from: "outside", to: "host", port: 30099, protocol },
      expected: "refused",
    },
    {
      name: `so is a client of the external IP (${protocol})`,
      ...{ from: "stranger", to: "nobody externalIP", port: 80, protocol },
      expected: "refused",
    },
  ]),
  {
    name: "so is the host on the external IP",
    ...{ from: "host", to: "nobody externalIP", port: 80 },
    // kube-proxy asks KUBE-EXTERNAL-SERVICES from INPUT and FORWARD only.
    except: ["kubernetes"],
    expected: "refused",
  },
  {
    name: "loopback serves no NodePort unless it was asked for",
    ...{ from: "loopback", to: "loopback", port: 30080 },
    except: ["document"],
    expected: { leftTo: "host" },
  },
];

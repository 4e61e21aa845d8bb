import type { Flow } from "../flow.ts";

const reaches = (...endpoints: readonly string[]) => ({ endpoints, port: 8080, masquerade: false }) as const;
const reachesMasqueraded = (...endpoints: readonly string[]) => ({ endpoints, port: 8080, masquerade: true }) as const;

/** The services of endpoint-choice.yaml: which endpoints count, as Kubernetes' documentation of EndpointSlices has it. */
export const ENDPOINT_FLOWS: readonly Flow[] = [
  {
    name: "ready endpoints serve, and only they",
    ...{ from: "pod", to: "mixed clusterIP", port: 80 },
    expected: reaches("ready-1", "ready-2"),
  },
  {
    name: "on a NodePort too",
    ...{ from: "outside", to: "host", port: 30010 },
    expected: reachesMasqueraded("ready-1", "ready-2"),
  },
  {
    name: "where none is ready, those that still serve while they terminate do",
    ...{ from: "pod", to: "leaving clusterIP", port: 80 },
    expected: reaches("leaving-1", "leaving-2"),
  },
  {
    name: "for a client of the NodePort too",
    ...{ from: "outside", to: "host", port: 30011 },
    expected: reachesMasqueraded("leaving-1", "leaving-2"),
  },
  {
    name: "what is not ready and stays is never used: a pod is refused",
    ...{ from: "pod", to: "starting clusterIP", port: 80 },
    expected: "refused",
  },
  {
    name: "so is a client of the NodePort",
    ...{ from: "outside", to: "host", port: 30012 },
    expected: "refused",
  },
  {
    name: "internal policy Local keeps a pod to the ready endpoints here",
    ...{ from: "pod", to: "inner clusterIP", port: 80 },
    expected: reaches("ready-1"),
  },
  {
    name: "and the host",
    ...{ from: "host", to: "inner clusterIP", port: 80 },
    expected: reachesMasqueraded("ready-1"),
  },
  {
    name: "but no client of the NodePort, which has a policy of its own",
    ...{ from: "outside", to: "host", port: 30020 },
    expected: reachesMasqueraded("ready-1", "ready-2"),
  },
  {
    name: "under internal policy Local the one here serves while it terminates, though another host has a ready one",
    ...{ from: "pod", to: "inner-leaving clusterIP", port: 80 },
    expected: reaches("leaving-1"),
  },
  {
    name: "one that only starts does not: no answer, for there is an endpoint elsewhere",
    ...{ from: "pod", to: "inner-starting clusterIP", port: 80 },
    expected: "dropped",
  },
  {
    name: "for the host neither",
    ...{ from: "host", to: "inner-starting clusterIP", port: 80 },
    expected: "dropped",
  },
  {
    name: "without a usable endpoint anywhere policy Local refuses",
    ...{ from: "pod", to: "inner-nobody clusterIP", port: 80 },
    expected: "refused",
  },
  {
    name: "external policy Local falls back to the terminating endpoint here",
    ...{ from: "outside", to: "host", port: 30024 },
    expected: reaches("leaving-1"),
  },
  {
    name: "while a pod uses the ready one elsewhere, by the NodePort",
    ...{ from: "pod", to: "host", port: 30024 },
    expected: reaches("ready-2"),
  },
  {
    name: "and by the ClusterIP",
    ...{ from: "pod", to: "outer-leaving clusterIP", port: 80 },
    expected: reaches("ready-2"),
  },
  {
    name: "with the terminating endpoint elsewhere a client from outside gets no answer",
    ...{ from: "outside", to: "host", port: 30025 },
    expected: "dropped",
  },
  {
    name: "and a pod gets that endpoint",
    ...{ from: "pod", to: "host", port: 30025 },
    expected: reaches("leaving-2"),
  },
  {
    name: "hints keep a pod to the endpoints for this zone, wherever they run; only those of ready endpoints count",
    ...{ from: "pod", to: "zonal clusterIP", port: 80 },
    expected: reaches("north-1", "both-2"),
  },
  {
    name: "and a client of the NodePort",
    ...{ from: "outside", to: "host", port: 30030 },
    expected: reachesMasqueraded("north-1", "both-2"),
  },
  {
    name: "a ready endpoint without a hint makes all hints count for nothing",
    ...{ from: "pod", to: "half-hinted clusterIP", port: 80 },
    expected: reaches("north-1", "south-2", "ready-2"),
  },
  {
    name: "so does a zone that nobody is meant for",
    ...{ from: "pod", to: "southern clusterIP", port: 80 },
    expected: reaches("south-1", "south-2"),
  },
  {
    name: "hints for this node go before those for its zone",
    ...{ from: "pod", to: "nodal clusterIP", port: 80 },
    expected: reaches("edge-1"),
  },
  {
    name: "where one endpoint has no node hint, zones decide",
    ...{ from: "pod", to: "half-nodal clusterIP", port: 80 },
    expected: reaches("core-2", "north-1"),
  },
  {
    name: "policy Local asks for no hint, inside",
    ...{ from: "pod", to: "zonal-local clusterIP", port: 80 },
    expected: reaches("south-1"),
  },
  {
    name: "nor outside",
    ...{ from: "outside", to: "host", port: 30035 },
    expected: reaches("south-1"),
  },
  {
    name: "but a pod on the NodePort follows them",
    ...{ from: "pod", to: "host", port: 30035 },
    expected: reaches("both-2"),
  },
];

import type { Fault } from "../errors.ts";
import { FaultReport } from "../text/fault-report.ts";
import type { ParsedTopology } from "../text/finish-reading.ts";
import { isMapping, type SourceDocument } from "../text/source-document.ts";
import { buildKubernetesTopology } from "./build-kubernetes-topology.ts";
import { LiveKubernetes } from "./live-kubernetes.ts";
import type { LiveKind } from "./live-object.ts";
import type { KubernetesOptions } from "./parse-kubernetes.ts";
import { HEADLESS } from "./read-endpoints.ts";

/** All objects of a cluster that services hang on, as its API server lists them: without a kind of their own. */
export type ClusterObjects = ReadonlyMap<LiveKind, readonly unknown[]>;

const API_VERSIONS: Readonly<Record<LiveKind, string>> = {
  Service: "v1",
  Node: "v1",
  EndpointSlice: "discovery.k8s.io/v1",
  ServiceCIDR: "networking.k8s.io/v1",
};

/** What is only told, and changes nothing of what is served: objects that join to nothing. */
const TOLD: ReadonlySet<string> = new Set(["JOINS_NOTHING", "NO_ENDPOINTS_GIVEN", "OTHER_PROXY"]);

/**
 * The topology of a cluster as it is now, as who follows it has it: an object that cannot be read is left out and named, and holds up no
 * other. Unlike a follower's it has the pods that endpoints name, and says of each object that joins to nothing why.
 *
 * @throws InputError for settings that cannot be read
 */
export function readCluster(objects: ClusterObjects, options: KubernetesOptions = {}): ParsedTopology {
  const live = new LiveKubernetes(options);
  for (const [kind, values] of objects) {
    for (const value of values) if (isFollowed(kind, value)) live.set(kind, keyOf(value), value);
  }
  const { topology, warnings, refused } = live.state();
  const report = new FaultReport();
  const documents = [...objects].map(([kind, items]) => documentOf(kind, items));
  const { allowExternalIPs = [] } = options;
  const { hosts } = buildKubernetesTopology(documents, { report, allowExternalIPs });
  const pods = new Map(hosts.map((host) => [host.name, host.pods]));
  return {
    topology: {
      ...topology,
      hosts: topology.hosts.map((host) => ({ ...host, pods: pods.get(host.name) ?? host.pods })),
    },
    warnings: [
      ...warnings,
      ...refused.flatMap(({ faults }) => faults.map((fault): Fault => ({ ...fault, severity: "warning" }))),
      ...loose(report),
    ],
  };
}

/** By the selectors that kube-proxy has. */
function isFollowed(kind: LiveKind, value: unknown): boolean {
  if (kind === "EndpointSlice") return labelsOf(value)[HEADLESS] === undefined;
  if (kind !== "Service") return true;
  return membersOf(value, "spec")["clusterIP"] !== "None" && labelsOf(value)[OTHER_PROXY] === undefined;
}

const OTHER_PROXY = "service.kubernetes.io/service-proxy-name";

function labelsOf(value: unknown) {
  return membersOf(membersOf(value, "metadata"), "labels");
}

/** The mapping itself, or the one below a key of it; empty where there is none. */
function membersOf(value: unknown, key?: string): Readonly<Record<string, unknown>> {
  const found = key === undefined ? value : isMapping(value) ? value[key] : undefined;
  return isMapping(found) ? found : {};
}

function keyOf(value: unknown): string {
  const { namespace, name } = membersOf(value, "metadata");
  return typeof namespace === "string" && namespace !== "" ? `${namespace}/${name}` : String(name);
}

function documentOf(kind: LiveKind, items: readonly unknown[]): SourceDocument {
  const value = { kind: `${kind}List`, apiVersion: API_VERSIONS[kind], items };
  return { source: { file: kind, text: "" }, index: 0, value };
}

/** What came by an API server has no lines: the object is named. */
function loose({ faults }: FaultReport): readonly Fault[] {
  return faults.flatMap(({ place, first: _, ...fault }) => {
    if (!TOLD.has(fault.code)) return [];
    const { document, path } = place;
    const items = membersOf(document.value)["items"];
    const item: unknown = Array.isArray(items) ? items[Number(path[1])] : undefined;
    return [{ ...fault, severity: "warning", at: { object: `${document.source.file} ${keyOf(item)}` } } as const];
  });
}

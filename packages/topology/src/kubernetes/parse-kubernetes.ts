import type { Cidr } from "../address.ts";
import type { ReadOptions } from "../file/parse-topology.ts";
import { configureNode } from "../proxy-configuration/configure-node.ts";
import { FaultReport } from "../text/fault-report.ts";
import { finishReading, type ParsedTopology } from "../text/finish-reading.ts";
import { type LoadedDocuments, loadInput } from "../text/load-documents.ts";
import type { InputFile } from "../text/source-document.ts";
import { buildKubernetesTopology } from "./build-kubernetes-topology.ts";

export interface KubernetesOptions extends ReadOptions {
  /** Blocks whose addresses a Service may claim as externalIPs; none: nobody may. */
  readonly allowExternalIPs?: readonly Cidr[];
}

/** A topology with what was left out of it. */
export interface ParsedKubernetes extends ParsedTopology {
  /** How many objects there were of each kind that says nothing about services. */
  readonly passedOver: ReadonlyMap<string, number>;
}

/**
 * Reads Kubernetes objects: YAML or JSON, several documents, lists.
 *
 * @throws InputError with every fault, each with its line, column and field path
 */
export function parseKubernetes(files: readonly InputFile[], options: KubernetesOptions = {}): ParsedKubernetes {
  return readKubernetesDocuments(loadInput(files), options);
}

/** The same, of what was loaded already. */
export function readKubernetesDocuments(
  { documents, faults }: LoadedDocuments,
  { allowExternalIPs = [], configuration }: KubernetesOptions = {},
): ParsedKubernetes {
  const report = new FaultReport();
  const { hosts, services, settings, passedOver } = buildKubernetesTopology(documents, { report, allowExternalIPs });
  const { node, warnings } = configureNode(settings, configuration);
  return {
    topology: { source: "kubernetes", hosts, services, node },
    passedOver,
    warnings: [...finishReading(report, faults), ...warnings],
  };
}

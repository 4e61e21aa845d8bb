import { isKubernetesDocument } from "./kubernetes/is-kubernetes-document.ts";
import type { LoadedDocuments } from "./load-documents.ts";
import { type KubernetesOptions, type ParsedKubernetes, readKubernetesDocuments } from "./parse-kubernetes.ts";
import { readTopologyDocuments } from "./parse-topology.ts";

/**
 * Reads what was loaded as what it is: a topology file, or Kubernetes objects.
 *
 * @throws InputError with every fault
 */
export function readInput(loaded: LoadedDocuments, options: KubernetesOptions = {}): ParsedKubernetes {
  if (loaded.documents.some(isKubernetesDocument)) return readKubernetesDocuments(loaded, options);
  return { ...readTopologyDocuments(loaded, options), passedOver: new Map() };
}

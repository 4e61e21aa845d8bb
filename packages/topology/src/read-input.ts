import { readTopologyDocuments } from "./file/parse-topology.ts";
import {
  type KubernetesOptions,
  type ParsedKubernetes,
  readKubernetesDocuments,
} from "./kubernetes/parse-kubernetes.ts";
import type { LoadedDocuments } from "./text/load-documents.ts";
import { isMapping, type SourceDocument } from "./text/source-document.ts";

/**
 * Reads what was loaded as what it is: a topology file, or Kubernetes objects.
 *
 * @throws InputError with every fault
 */
export function readInput(loaded: LoadedDocuments, options: KubernetesOptions = {}): ParsedKubernetes {
  if (loaded.documents.some(isKubernetesDocument)) return readKubernetesDocuments(loaded, options);
  return { ...readTopologyDocuments(loaded, options), passedOver: new Map() };
}

/**
 * Whether a document is a Kubernetes object rather than a topology, which has no `kind`; one that lacks its apiVersion is told so by
 * the reader of objects. Apart from that reader, which most commands never load.
 */
export function isKubernetesDocument({ value }: SourceDocument): boolean {
  if (!isMapping(value) || typeof value["kind"] !== "string") return false;
  return typeof value["apiVersion"] === "string" || !Object.hasOwn(value, "hosts");
}

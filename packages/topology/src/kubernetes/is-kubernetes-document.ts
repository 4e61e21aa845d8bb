import { isMapping } from "../is-mapping.ts";
import type { SourceDocument } from "../source-document.ts";

/**
 * Whether a document is a Kubernetes object rather than a topology, which has no `kind`; one that lacks its apiVersion is told so by
 * the reader of objects. Apart from that reader, which most commands never load.
 */
export function isKubernetesDocument({ value }: SourceDocument): boolean {
  if (!isMapping(value) || typeof value["kind"] !== "string") return false;
  return typeof value["apiVersion"] === "string" || !Object.hasOwn(value, "hosts");
}

import { isMapping } from "../is-mapping.ts";
import type { SourceDocument } from "../source-document.ts";

/** Whether a document is a Kubernetes object rather than a topology. Apart from the reader, which most commands never load. */
export function isKubernetesDocument({ value }: SourceDocument): boolean {
  return isMapping(value) && typeof value["kind"] === "string" && typeof value["apiVersion"] === "string";
}

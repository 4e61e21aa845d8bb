import { type Cidr, familyOf, type HostPlan } from "@svcproxy/topology";
import { classid } from "../table/classid.ts";
import { type Element, element } from "../table/nft-table.ts";
import { formatBlock, mergeBlocks } from "./blocks.ts";
import type { TableSettings } from "./table-settings.ts";
import { TREATMENTS } from "./treatment.ts";

/** The elements that follow from the node's settings and belong to no service. */
export function nodeElements(plan: HostPlan, { family, pods, nodePorts }: TableSettings): readonly Element[] {
  const { node, podDetector } = plan;
  const blockSet = (collection: string, blocks: readonly Cidr[]) =>
    mergeBlocks(blocks.filter(({ address }) => familyOf(address) === family)).map((block) =>
      element(collection, formatBlock(block)),
    );
  return [
    ...Object.entries(TREATMENTS).map(([chain, kind]) => element("treatments", classid(0, kind), `goto ${chain}`)),
    ...(pods.kind === "source" && podDetector.kind === "source" ? blockSet("pods", podDetector.cidrs) : []),
    ...(nodePorts === "listed"
      ? plan.nodePortAddresses[family].addresses.map((address) => element("nodeport-addresses", address))
      : []),
    ...blockSet("service-cidrs", node.serviceCIDRs),
  ];
}

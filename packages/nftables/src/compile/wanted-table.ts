import type { HostPlan } from "@svcproxy/topology";
import { type Chain, type Collection, type Element, element } from "../table/nft-table.ts";
import { affinityMap, fixedCollections, PROTOCOLS, stickyCollections } from "./collections.ts";
import { fixedChains } from "./fixed-chains.ts";
import { leaseCollection, leaseElements } from "./lease.ts";
import { nodeElements } from "./node-elements.ts";
import { affinityChains, rewriteStickyChain } from "./picking-chains.ts";
import { type TableOptions, type TableSettings, tableSettings } from "./table-settings.ts";
import { trafficChains, trafficCollections } from "./traffic-counters.ts";
import { type WantedPort, wantedPorts } from "./wanted-port.ts";

/** What the table of a family is to hold, but for the numbers of groups and slots. */
export interface WantedTable {
  readonly settings: TableSettings;
  readonly ports: readonly WantedPort[];
  /** Those that belong to no service. */
  readonly nodeElements: readonly Element[];
}

export function wantedTable(plan: HostPlan, options: TableOptions): WantedTable {
  const settings = tableSettings(plan, options);
  return { settings, ports: wantedPorts(plan, options), nodeElements: nodeElements(plan, settings) };
}

/** The timeouts of session affinity that ports have, each once. */
export function timeoutsOf(ports: Iterable<WantedPort>): ReadonlySet<number> {
  const timeouts = new Set<number>();
  for (const { cluster, local } of ports) {
    for (const group of [cluster, local]) if (group?.timeoutSeconds !== undefined) timeouts.add(group.timeoutSeconds);
  }
  return timeouts;
}

/** The declarations and rules of a table; its elements apart. */
export interface TableFrame {
  readonly collections: readonly Collection[];
  readonly chains: readonly Chain[];
  /** Elements that are there whenever the frame is. */
  readonly elements: readonly Element[];
}

/** The part of a table that all services share. */
export function fixedFrame(settings: TableSettings): TableFrame {
  const { family, countsTraffic, isLeased } = settings;
  return {
    collections: [
      ...fixedCollections(settings),
      ...(isLeased ? [leaseCollection()] : []),
      ...(countsTraffic ? trafficCollections(family) : []),
    ],
    chains: [...fixedChains(settings), ...(countsTraffic ? trafficChains(family) : [])],
    elements: isLeased ? leaseElements() : [],
  };
}

/** What a timeout of session affinity takes; the first of them takes what all share besides. */
export function affinityFrame(
  timeoutSeconds: number,
  { settings, isFirst }: { readonly settings: TableSettings; readonly isFirst: boolean },
): TableFrame {
  const { family } = settings;
  const own = {
    collections: [affinityMap(timeoutSeconds, settings)],
    chains: affinityChains(timeoutSeconds, family),
    elements: [],
  };
  if (!isFirst) return own;
  return {
    collections: [...stickyCollections(settings), ...own.collections],
    chains: [rewriteStickyChain(family), ...own.chains],
    elements: PROTOCOLS.map((protocol) => element("unremembered", protocol)),
  };
}

import type { HostRules, HostState, RuleText } from "@svcproxy/rules";
import type { Family, IpAddress, Problem, Topology } from "@svcproxy/topology";
import type { PageHost, ServiceState } from "../model.ts";

/** What is listed, wherever it was read. */
export interface Listed {
  /** In words. */
  readonly source: string;
  readonly takenAt: string;
  readonly topology: Topology;
  readonly hosts: readonly ListedHost[];
  /** Of the topology and its files. */
  readonly problems: readonly Problem[];
}

export interface ListedHost extends Pick<PageHost, "name" | "dataPath" | "rules" | "state" | "staleSince"> {
  /** How services stand, by `namespace/name`, where an agent says it. */
  readonly states?: Readonly<Record<string, ServiceState>>;
  readonly problems?: readonly Problem[];
}

/** With what it takes to follow packets: plain data and texts, so that a page can carry it along. */
export interface Viewed extends Listed {
  readonly hosts: readonly ViewedHost[];
}

export interface ViewedHost extends ListedHost {
  readonly hostState: HostState;
  /** What iptables-save and nft print, or what would be loaded. */
  readonly texts: readonly RuleText[];
  readonly machineAddresses: readonly IpAddress[];
}

/** What `ViewedHost.texts` says in a family. */
export type RulesOf = (family: Family) => HostRules;

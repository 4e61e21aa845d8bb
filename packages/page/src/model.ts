import type { TraceJson } from "@svcproxy/rules";
import type { ClientKind, Family, FrontendKind, ListPart, Protocol } from "@svcproxy/topology";

/** What the page shows first: all services, where they are served, and what is wrong. JSON; may gain members. */
export interface PageState {
  readonly version: 1;
  /** Where all of it comes from, in words: `examples/cloudos.yaml`. */
  readonly source: string;
  /** ISO 8601. */
  readonly takenAt: string;
  /** Those whose rules or state are known, in the order in which they were named. */
  readonly hosts: readonly PageHost[];
  /** Every host of the topology. */
  readonly places: readonly PagePlace[];
  /** In the topology's order. */
  readonly services: readonly PageService[];
  readonly problems: readonly PageProblem[];
}

export interface PageHost {
  readonly name: string;
  /** Undefined where it is not known what carries the promise out. */
  readonly dataPath?: string;
  /** `planned`: rules as they would be written; `read`: as the host has them; `none`: there are none to see. */
  readonly rules: "planned" | "read" | "none";
  /** How the agent stands, in words, and since when what is shown is old. */
  readonly state?: string;
  readonly staleSince?: string;
}

export interface PagePlace {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly pods: readonly { readonly name: string; readonly addresses: readonly string[] }[];
}

export interface PageService {
  /** `namespace/name`. */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly ports: readonly PagePort[];
  readonly endpoints: readonly PageEndpoint[];
  /** One for each of `PageState.hosts`, in their order. */
  readonly states: readonly ServiceState[];
}

export interface PagePort {
  /** Empty where it has none. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly nodePort?: number;
  readonly addresses: readonly { readonly kind: Exclude<FrontendKind, "nodePort">; readonly address: string }[];
}

/** `ready`: gets new connections; `draining`: serves those that it has; `dead`: neither. */
export type EndpointCondition = "ready" | "draining" | "dead";

export interface PageEndpoint {
  readonly address: string;
  readonly port: number;
  readonly host?: string;
  readonly pod?: string;
  readonly condition: EndpointCondition;
  /** Names of the ports that it serves. */
  readonly portNames: readonly string[];
}

/** `planned`: nobody looked; `checking`: being looked at; `undecided`: the rules do not tell. */
export type ServiceStateKind = "planned" | "checking" | "in-force" | "refused" | "failed" | "undecided";

export interface ServiceState {
  readonly kind: ServiceStateKind;
  /** Why it is not in force. */
  readonly why?: string;
  /** Where it was judged by following packets: one that was not served as it should be. */
  readonly shownBy?: {
    readonly packet: PagePacket;
    /** Who dialled what, in words. */
    readonly dialled: string;
    /** What became of it. */
    readonly because: string;
  };
  /** ISO 8601. */
  readonly since?: string;
}

export interface PageProblem {
  readonly code: string;
  readonly severity: "error" | "warning";
  readonly subject: string;
  readonly text: string;
  readonly hint?: string;
  /** What was seen, a sentence each. */
  readonly evidence?: readonly string[];
  /** On which host; absent: wherever. */
  readonly host?: string;
  /** Those that suffer, as `namespace/name`. */
  readonly services?: readonly string[];
  /** Commands that mend it, to be run on `host` as root. */
  readonly remedy?: readonly string[];
  /** A packet that shows it. */
  readonly packet?: PagePacket;
}

/** What carries a service out on one host, and who may use it. */
export interface ServiceView {
  readonly id: string;
  readonly host: string;
  readonly frontends: readonly FrontendView[];
  readonly endpoints: readonly PageEndpoint[];
  /** The elements of named sets and maps of nftables at which its packets are found, each once. */
  readonly elements: readonly ElementView[];
  /** The rules that take its packets, each once: by chain, as packets meet them. */
  readonly rules: readonly RuleView[];
  /** Why there are none, or not all. */
  readonly rulesNote?: string;
  /** When rules, elements and counters were read (ISO 8601), where they are read again from time to time. */
  readonly readAt?: string;
}

export interface FrontendView {
  readonly kind: FrontendKind;
  readonly portName: string;
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
  readonly clients: Readonly<Record<ClientKind, HandlingView>>;
  /** An address of a client of each kind, for a packet to try; absent where there is none. */
  readonly examples: Readonly<Partial<Record<ClientKind, string>>>;
}

export type HandlingView =
  | {
      readonly kind: "forward" /** Indexes into `ServiceView.endpoints`; each gets an equal share. */;
      readonly endpoints: readonly number[];
    }
  | { readonly kind: "refuse" }
  | { readonly kind: "drop" };

/** As the listing has it; absent where nothing is counted. */
export interface CountedView {
  readonly packets?: number;
  readonly bytes?: number;
  /** It is there, but none of the packets met it that were followed; told where packets of another host meet it. */
  readonly isUnmet?: true;
}

export interface RuleView extends CountedView {
  /** Whose packets it is asked about; iptables has the same tables for each family. */
  readonly family: Family;
  readonly table: string;
  readonly chain: string;
  /** 1-based place in the chain. */
  readonly number: number;
  readonly rule: string;
}

export interface ElementView extends CountedView {
  readonly family: Family;
  /** `ip svcproxy`. */
  readonly table: string;
  /** The set's or map's name. */
  readonly set: string;
  /** As nft prints it: `10.0.0.1 . tcp . 80 : 1:1`. */
  readonly element: string;
  readonly comment?: string;
}

/** New connections, since the page was opened. */
export interface PageCounts {
  readonly host: string;
  readonly takenAt: string;
  /** How often they are read, in milliseconds. */
  readonly everyMs: number;
  /** New connections per second by service (`namespace/name`); what is not named has none. */
  readonly perSecond: Readonly<Record<string, number>>;
  /** Why they are not known. */
  readonly note?: string;
}

/** Who is connected to a service now. */
export interface PageConnections {
  readonly service: string;
  readonly host: string;
  readonly takenAt: string;
  readonly connections: readonly PageConnection[];
  /** How many there are besides. */
  readonly untold: number;
  /** How many there are of each way, also of those that are not told one by one. */
  readonly live: readonly LiveConnections[];
  /** Why they, or something of them, is not known. */
  readonly note?: string;
}

/** Addresses are `ip:port`. */
export interface LiveConnections {
  readonly frontend: string;
  readonly endpoint: string;
  readonly protocol: string;
  readonly count: number;
}

export interface PageConnection extends Omit<LiveConnections, "count"> {
  readonly client: string;
  readonly state?: string;
  readonly bytes?: number;
  readonly ageSeconds?: number;
}

/** A packet that is followed on paper. */
export interface PagePacket {
  readonly host: string;
  readonly from: string;
  readonly to: string;
  /** Absent for protocols that have none. */
  readonly port?: number;
  readonly protocol: string;
}

/** What makes one state of that which was told before: of 10,000 services of which one changed, some hundred bytes. */
export interface PageChange extends Pick<PageState, "version" | "source" | "takenAt"> {
  /** `takenAt` of the state before. */
  readonly since: string;
  readonly hosts: readonly ListPart<PageHost>[];
  readonly places: readonly ListPart<PagePlace>[];
  readonly services: readonly ListPart<PageService>[];
  readonly problems: readonly ListPart<PageProblem>[];
}

export type PageEvent =
  | { readonly kind: "state"; readonly state: PageState }
  | { readonly kind: "changed"; readonly change: PageChange }
  /** Of one host: states by service. */
  | { readonly kind: "judged"; readonly host: string; readonly states: Readonly<Record<string, ServiceState>> }
  | { readonly kind: "counts"; readonly counts: PageCounts }
  /** What is shown is not kept true any more: why, and since when (ISO 8601). */
  | { readonly kind: "old"; readonly why: string; readonly since: string }
  | { readonly kind: "fresh" };

/** What the page asks: a server behind it, or the data that it carries. */
export interface PageData {
  state(): Promise<PageState>;
  /** What each of `PageState.hosts` does for a service, in their order. @throws Error with a sentence for people */
  service(id: string): Promise<readonly ServiceView[]>;
  /** The same as `svcproxy trace --json`. @throws Error with a sentence for people */
  trace(packet: PagePacket): Promise<TraceJson>;
  /** Undefined where nobody can tell. */
  connections(host: string, id: string): Promise<PageConnections | undefined>;
  /**
   * @param have `PageState.takenAt` of the state that is known: it is told only where it is another
   * @returns how to end it
   */
  follow(onEvent: (event: PageEvent) => void, have?: string): () => void;
}

import {
  type ComparedPackets,
  comparePackets,
  type Fate,
  type HostRules,
  type HostState,
  type ProofPacket,
} from "@svcproxy/rules";
import type { Family, HostPlan } from "@svcproxy/topology";
import { type KubeProxyFacts, localhostNodePorts } from "../kube-proxy/kube-proxy-facts.ts";
import { kubeProxyTable } from "../kube-proxy/kube-proxy-table.ts";
import { classifyDifference } from "./classify-difference.ts";
import { TrafficCount } from "./count-traffic.ts";
import { DIFFERENCE_KINDS, type DifferenceKind, KINDS_IN_ORDER } from "./difference-kinds.ts";
import { type HostFacts, hostRequirements } from "./host-requirements.ts";
import type { Migration, MigrationDifference, MigrationVerdict, Requirement, UndecidedPackets } from "./migration.ts";
import { PlanPlaces } from "./plan-places.ts";
import { withoutKubeProxy } from "./without-kube-proxy.ts";

export interface MigrationInput {
  readonly families: readonly Family[];
  /** All rules of the host in one family, kube-proxy's of its iptables mode among them. */
  rules(family: Family): HostRules;
  /** What kube-proxy in nftables mode is to do: made with that mode's configuration and defaults. */
  readonly plan: HostPlan;
  readonly hostState: HostState;
  readonly facts: HostFacts;
  /** The kube-proxy that will run; what is not known of it is taken for the latest without gates. */
  readonly kubeProxy?: KubeProxyFacts;
}

/** So many packets that could not be decided are kept. */
const MAX_UNDECIDED = 20;

/**
 * Compares a host's rules with those that it will have once kube-proxy runs in nftables mode, over all packets: what kube-proxy takes
 * away is taken away, and what it writes for the plan is put beside what others wrote.
 *
 * @throws InputError PROOF_TOO_LARGE
 */
export function proveMigration({ families, rules, plan, hostState, facts, kubeProxy = {} }: MigrationInput): Migration {
  const differences: MigrationDifference[] = [];
  const undecided: UndecidedPackets[] = [];
  let cases = 0;
  for (const family of families) {
    const before = rules(family);
    const kept = withoutKubeProxy(before);
    const table = kubeProxyTable(plan, family, kubeProxy);
    const after = {
      ...kept,
      nft: { tables: [...kept.nft.tables.filter(({ name }) => name !== "kube-proxy"), table] },
    };
    const places = new PlanPlaces(plan, { family, hostState, localhost: localhostNodePorts(plan, family, kubeProxy) });
    const kinds = new Map<DifferenceKind, FoundKind>();
    const walked = comparePackets({ a: before, b: after, hostState, plan });
    for (;;) {
      const { done, value } = walked.next();
      if (done === true) {
        cases += value === "all" ? 0 : value;
        break;
      }
      const { fates, because, packet } = value;
      if (fates === undefined) {
        if (undecided.length < MAX_UNDECIDED) undecided.push({ family, packet, because: because ?? "" });
        continue;
      }
      const found = classifyDifference(value, { before: fates.a, after: fates.b, places });
      const known = kinds.get(found.kind) ?? new FoundKind(value, new TrafficCount(facts.accounting));
      kinds.set(found.kind, known);
      known.add(value, found.services);
    }
    for (const kind of KINDS_IN_ORDER) {
      const found = kinds.get(kind);
      if (found !== undefined) differences.push({ kind, family, ...found.summary });
    }
  }
  const requirements = hostRequirements({ plan, rules: families.map(rules), hostState, facts, kubeProxy });
  return { verdict: verdictOn({ differences, undecided, requirements }), differences, undecided, requirements, cases };
}

function verdictOn({ differences, undecided, requirements }: Omit<Migration, "verdict" | "cases">): MigrationVerdict {
  const lacks = (status: Requirement["status"]) => requirements.some((one) => one.status === status);
  if (differences.some(isInTheWay) || lacks("missing")) return "not ready";
  return undecided.length > 0 || lacks("unknown") ? "undecided" : "ready";
}

/** Whether a difference stops or changes what somebody uses, or may use. */
export function isInTheWay({ kind, traffic }: MigrationDifference): boolean {
  return DIFFERENCE_KINDS[kind].effect !== "harmless" && !(traffic.kind === "counted" && traffic.packets === 0);
}

/** What was found of one kind, so far. */
class FoundKind {
  #shown: ComparedPackets;
  readonly #services = new Set<string>();
  readonly #traffic: TrafficCount;

  constructor(shown: ComparedPackets, traffic: TrafficCount) {
    this.#shown = shown;
    this.#traffic = traffic;
  }

  add(packets: ComparedPackets, services: readonly string[]): void {
    for (const service of services) this.#services.add(service);
    this.#traffic.add(packets.fates?.a ?? []);
    if (plainness(packets.packet) > plainness(this.#shown.packet)) this.#shown = packets;
  }

  get summary(): Omit<MigrationDifference, "kind" | "family"> {
    const { packet, fates } = this.#shown;
    return {
      packet,
      before: describeFates(fates?.a ?? []),
      after: describeFates(fates?.b ?? []),
      services: [...this.#services].sort(),
      traffic: this.#traffic.traffic,
    };
  }
}

/** A packet of a new connection, without a mark, with a port, is the one that people understand best. */
function plainness({ from, to, state, mark, port, protocol }: ProofPacket): number {
  // What stays on loopback is what people dial there.
  const isAtHome = from.startsWith("127.") === to.startsWith("127.");
  return (
    (state === undefined ? 8 : 0) +
    (mark === undefined ? 4 : 0) +
    (port === undefined ? 0 : 2) +
    (protocol === "tcp" ? 1 : 0) +
    (isAtHome ? 16 : 0)
  );
}

function describeFates(fates: readonly Fate[]): string {
  const shares = new Map<string, number>();
  for (const fate of fates) {
    const text = describeFate(fate);
    shares.set(text, (shares.get(text) ?? 0) + fate.share);
  }
  const texts = [...shares].map(([text, share]) =>
    share > 0.999_999 ? text : `${text} (${(share * 100).toFixed(1)} %)`,
  );
  const shown = texts.slice(0, 3).join(", or ");
  return texts.length > 3 ? `${shown}, or one of ${texts.length - 3} others` : shown;
}

function describeFate(fate: Fate): string {
  if (fate.kind !== "delivered") return `is ${fate.kind}`;
  const by = fate.outInterface === undefined ? "" : ` by ${fate.outInterface}`;
  const as = fate.source === undefined ? "" : fate.source === "unknown" ? " with another source" : ` as ${fate.source}`;
  if (fate.to !== undefined && fate.port !== undefined) return `reaches ${at(fate.to, fate.port)}${as}${by}`;
  return fate.outInterface === undefined ? `is left to a program of this host${as}` : `goes on${as}${by}`;
}

function at(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

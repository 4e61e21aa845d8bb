import { describePacket, type ProofPacket } from "@svcproxy/rules";
import { type Family, visible } from "@svcproxy/topology";
import { DIFFERENCE_KINDS, type DifferenceKind, KINDS_IN_ORDER } from "./difference-kinds.ts";
import { headOf, INDENT, listed, requirementLines } from "./format-migration.ts";
import type { Migration, MigrationDifference, MigrationVerdict, Requirement, Traffic } from "./migration.ts";

/** One snapshot of a fleet, and what came of it. */
export type FleetNode = {
  /** The snapshot. */
  readonly file: string;
} & (
  | { readonly kind: "proved"; readonly hostName: string; readonly migration: Migration }
  /** It could not be read, or is of no host of the topology, or is too large. */
  | { readonly kind: "failed"; readonly because: string }
);

/** A kind of difference on all the nodes that have it. */
export interface FleetDifference {
  readonly kind: DifferenceKind;
  readonly family: Family;
  readonly nodes: readonly string[];
  readonly services: readonly string[];
  /** Of the first of the nodes. */
  readonly packet: ProofPacket;
  readonly before: string;
  readonly after: string;
  /** Of all of them together; known where it is of each. */
  readonly traffic: Traffic;
}

/** The same requirement, with the same words, on all the nodes that have it. */
export interface FleetRequirement extends Requirement {
  readonly nodes: readonly string[];
}

export interface FleetSummary {
  readonly ready: readonly string[];
  readonly notReady: readonly string[];
  /** Nodes of which nothing was found in the way, but not all of them could be decided. */
  readonly notDecided: readonly string[];
  /** Files, with the reason. */
  readonly failed: readonly { readonly file: string; readonly because: string }[];
  readonly differences: readonly FleetDifference[];
  /** Those that are not met everywhere. */
  readonly requirements: readonly FleetRequirement[];
  readonly undecided: readonly { readonly node: string; readonly packet: ProofPacket; readonly because: string }[];
}

/** Each kind of finding once, with the nodes that have it; those of one name are told apart by their file. */
export function sumUpFleet(nodes: readonly FleetNode[]): FleetSummary {
  const proved = toldApart(nodes.flatMap((node) => (node.kind === "proved" ? [node] : [])));
  const named = (verdict: MigrationVerdict) =>
    proved.flatMap(({ hostName, migration }) => (migration.verdict === verdict ? [hostName] : []));
  return {
    ready: named("ready"),
    notReady: named("not ready"),
    notDecided: named("undecided"),
    failed: nodes.flatMap((node) => (node.kind === "failed" ? [{ file: node.file, because: node.because }] : [])),
    differences: joinDifferences(proved),
    requirements: joinRequirements(proved),
    undecided: proved.flatMap(({ hostName, migration }) =>
      migration.undecided.map(({ packet, because }) => ({ node: hostName, packet, because })),
    ),
  };
}

/** Of a host that has several snapshots, each is named with its file. */
function toldApart<Node extends { readonly hostName: string; readonly file: string }>(
  nodes: readonly Node[],
): readonly Node[] {
  const byName = Map.groupBy(nodes, ({ hostName }) => hostName);
  return nodes.map((node) =>
    byName.get(node.hostName)?.length === 1 ? node : { ...node, hostName: `${node.hostName} (${node.file})` },
  );
}

type Proved = readonly { readonly hostName: string; readonly migration: Migration }[];

function joinDifferences(nodes: Proved): readonly FleetDifference[] {
  const found = nodes.flatMap(({ hostName, migration }) =>
    migration.differences.map((difference) => ({ hostName, difference })),
  );
  const groups = Map.groupBy(found, ({ difference: { kind, family } }) => `${KINDS_IN_ORDER.indexOf(kind)} ${family}`);
  return [...groups]
    .toSorted(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
    .flatMap(([, members]) => {
      const [first] = members;
      if (first === undefined) return [];
      const { kind, family, packet, before, after } = first.difference;
      return [
        {
          ...{ kind, family, packet, before, after },
          nodes: members.map(({ hostName }) => hostName),
          services: [...new Set(members.flatMap(({ difference }) => difference.services))].sort(),
          traffic: joinTraffic(members.map(({ difference }) => difference)),
        },
      ];
    });
}

function joinTraffic(differences: readonly MigrationDifference[]): Traffic {
  let packets = 0;
  for (const { traffic } of differences) {
    if (traffic.kind === "unknown") return traffic;
    packets += traffic.packets;
  }
  return { kind: "counted", packets, by: [] };
}

function joinRequirements(nodes: Proved): readonly FleetRequirement[] {
  const found = nodes.flatMap(({ hostName, migration }) =>
    migration.requirements.filter(({ status }) => status !== "met").map((requirement) => ({ hostName, requirement })),
  );
  const groups = Map.groupBy(found, ({ requirement: { name, text } }) => `${name} ${text}`);
  return [...groups.values()].flatMap((members) => {
    const [first] = members;
    return first === undefined ? [] : [{ ...first.requirement, nodes: members.map(({ hostName }) => hostName) }];
  });
}

/** The summary for people. */
export function formatFleet(summary: FleetSummary): string {
  const { ready, notReady, notDecided, failed, differences, requirements, undecided } = summary;
  const judged = ready.length + notReady.length + notDecided.length;
  const count = judged + failed.length;
  const lines = [
    `${count} ${count === 1 ? "node" : "nodes"}, kube-proxy from its iptables mode to nftables: ${ready.length} ready, ${notReady.length} not ready, ${notDecided.length} not decided, ${failed.length} not judged.`,
    "",
    ...differences.flatMap(differenceLines),
    ...(differences.length === 0 && judged > 0 ? ["same       All packets are treated alike"] : []),
    ...undecided.flatMap(({ node, packet, because }) => [
      `undecided  ${visible(node)}: ${visible(describePacket(packet))}`,
      `${INDENT}  hangs on ${visible(because)}`,
    ]),
    ...(requirements.length === 0 ? [] : ["", "What hosts must have, and may lack"]),
    ...requirements.flatMap((requirement) => [
      ...requirementLines(requirement),
      `${INDENT}  on ${visible(listed(requirement.nodes, "node"))}`,
    ]),
    ...(failed.length === 0 ? [] : ["", "Not judged"]),
    ...failed.map(({ file, because }) => `${INDENT}${visible(file)}: ${visible(because)}`),
    "",
    ...(ready.length === 0 ? [] : [`Ready      ${visible(listed(ready, "node"))}`]),
    ...(notDecided.length === 0 ? [] : [`Undecided  ${visible(listed(notDecided, "node"))}`]),
    ...(notReady.length === 0 ? [] : [`Not ready  ${visible(listed(notReady, "node"))}`]),
  ];
  return `${lines.join("\n")}\n`;
}

function differenceLines(difference: FleetDifference): readonly string[] {
  const { kind, family, nodes, services, packet, before, after, traffic } = difference;
  const { effect, title, advice } = DIFFERENCE_KINDS[kind];
  return [
    `${headOf(effect)}${title} (IPv${family})`,
    `${INDENT}on ${visible(listed(nodes, "node"))}`,
    ...(services.length === 0 ? [] : [`${INDENT}concerns ${visible(listed(services, "service"))}`]),
    `${INDENT}${visible(describePacket(packet))} on ${visible(nodes[0] ?? "")}`,
    `${INDENT}  today ${visible(before)}`,
    `${INDENT}  then  ${visible(after)}`,
    `${INDENT}${traffic.kind === "unknown" ? "used today: not known on all of them" : traffic.packets === 0 ? "used today: no, nothing was counted" : `used today: at most ${traffic.packets} packets or connections`}`,
    `${INDENT}${advice}`,
  ];
}

/** For programs: nothing but data. */
export function fleetToJson({ differences, ...summary }: FleetSummary): Readonly<Record<string, unknown>> {
  return {
    to: "kube-proxy-nftables",
    ...summary,
    differences: differences.map(({ kind, ...rest }) => ({ kind, ...DIFFERENCE_KINDS[kind], ...rest })),
  };
}

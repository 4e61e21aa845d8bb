import { describePacket, quoteShellWord, traceFlags } from "@svcproxy/rules";
import { visible } from "@svcproxy/topology";
import { DIFFERENCE_KINDS, type DifferenceEffect } from "./difference-kinds.ts";
import type { CountingRule, Migration, MigrationDifference, Requirement, Traffic } from "./migration.ts";
import { isInTheWay } from "./prove-migration.ts";

export interface MigrationFormat {
  readonly hostName: string;
  /** The words of the `svcproxy trace` call that looks at the rules of today, without the packet. */
  readonly traceCommand: readonly string[];
}

const EFFECTS: Readonly<Record<DifferenceEffect, string>> = {
  stops: "STOPS",
  changes: "CHANGES",
  harmless: "harmless",
};
const STATUSES: Readonly<Record<Requirement["status"], string>> = {
  met: "met",
  missing: "MISSING",
  unknown: "unknown",
};

export const INDENT = " ".repeat(11);

/** A paragraph a difference, then a line a requirement, then the sum. */
export function formatMigration(migration: Migration, format: MigrationFormat): string {
  const { differences, undecided, requirements, cases } = migration;
  return [
    `Host ${visible(format.hostName)}, kube-proxy from its iptables mode to nftables: ${cases} kinds of packets looked at, which together are all packets.`,
    "",
    ...differences.flatMap((difference) => differenceLines(difference, format)),
    ...undecided.flatMap(({ packet, because }) => [
      `undecided  ${visible(describePacket(packet))}`,
      `${INDENT}  hangs on ${visible(because)}`,
    ]),
    ...(differences.length + undecided.length === 0 ? ["same       All packets are treated alike"] : []),
    "",
    "What the host must have",
    ...requirements.flatMap(requirementLines),
    "",
    `${summary(migration)}`,
    "",
  ].join("\n");
}

/** One requirement for people: whether it is met, and what helps. */
export function requirementLines({ status, text, hint }: Requirement): readonly string[] {
  return [
    `${STATUSES[status].padEnd(11)}${visible(text)}`,
    ...(hint === undefined ? [] : [`${INDENT}  ${visible(hint)}`]),
  ];
}

function differenceLines(difference: MigrationDifference, { traceCommand }: MigrationFormat): readonly string[] {
  const { kind, family, packet, before, after, services, traffic } = difference;
  const { effect, title, advice } = DIFFERENCE_KINDS[kind];
  const trace = [...traceCommand, ...traceFlags(packet)].map(quoteShellWord).join(" ");
  return [
    `${headOf(effect)}${title} (IPv${family})`,
    `${INDENT}${visible(describePacket(packet))}`,
    `${INDENT}  today ${visible(before)}`,
    `${INDENT}  then  ${visible(after)}`,
    ...(services.length === 0 ? [] : [`${INDENT}concerns ${visible(listed(services, "service"))}`]),
    `${INDENT}${describeTraffic(traffic)}`,
    `${INDENT}${advice}`,
    `${INDENT}$ ${visible(trace)}`,
  ];
}

/** The word for an effect, as wide as the column that begins each finding. */
export function headOf(effect: DifferenceEffect): string {
  return EFFECTS[effect].padEnd(11);
}

/** So many names are told. */
const TOLD = 5;

/** `3 services: default/a, default/b, default/c`. */
export function listed(names: readonly string[], what: string): string {
  const more = names.length > TOLD ? `, and ${names.length - TOLD} more` : "";
  return `${names.length} ${what}${names.length === 1 ? "" : "s"}: ${names.slice(0, TOLD).join(", ")}${more}`;
}

function describeTraffic(traffic: Traffic): string {
  if (traffic.kind === "unknown")
    return "used today: not known, no rule counts it by itself (counters are in a snapshot, and in iptables-save -c)";
  const by = traffic.by
    .toSorted((a, b) => b.packets - a.packets)
    .slice(0, 2)
    .map(ruleName)
    .join(", ");
  const more = traffic.by.length > 2 ? `, and ${traffic.by.length - 2} more` : "";
  return traffic.packets === 0
    ? `used today: no, ${by}${more} counted nothing`
    : `used today: at most ${traffic.packets} packets or connections, by ${by}${more}`;
}

function ruleName({ source }: CountingRule): string {
  return "accounting" in source
    ? `nfacct ${source.accounting}`
    : `rule ${source.number} of ${source.table} ${source.chain}`;
}

function summary({ verdict, differences, undecided, requirements }: Migration): string {
  const count = (status: Requirement["status"]) => requirements.filter((one) => one.status === status).length;
  const [missing, unknown, stopping] = [count("missing"), count("unknown"), differences.filter(isInTheWay).length];
  const open = [
    ...(undecided.length === 0 ? [] : [`${undecided.length} kinds of packets could not be decided`]),
    ...(unknown === 0 ? [] : [`${unknown} of the above could not be looked at`]),
  ];
  switch (verdict) {
    case "ready":
      return "Ready: nothing that is in use stops or changes.";
    case "undecided":
      return `Not decided: nothing that is in use was found to stop or change, but ${open.join("; ")}.`;
    case "not ready": {
      const reasons = [
        ...(stopping === 0 ? [] : [`${stopping} of the differences may stop or change what is in use`]),
        ...(missing === 0 ? [] : [`${missing} of what the host must have is missing`]),
      ];
      return `Not ready: ${[...reasons, ...open].join("; ")}.`;
    }
  }
}

/** For programs: nothing but data. */
export function migrationToJson(
  migration: Migration,
  { hostName, traceCommand }: MigrationFormat,
): Readonly<Record<string, unknown>> {
  const { verdict, differences, undecided, requirements, cases } = migration;
  const trace = (packet: MigrationDifference["packet"]) =>
    [...traceCommand, ...traceFlags(packet)].map(quoteShellWord).join(" ");
  return {
    host: hostName,
    to: "kube-proxy-nftables",
    ready: verdict === "ready",
    verdict,
    cases,
    differences: differences.map(({ kind, packet, ...rest }) => ({
      ...{ kind, ...DIFFERENCE_KINDS[kind] },
      ...rest,
      packet,
      trace: trace(packet),
    })),
    undecided: undecided.map((one) => ({ ...one, trace: trace(one.packet) })),
    requirements,
  };
}

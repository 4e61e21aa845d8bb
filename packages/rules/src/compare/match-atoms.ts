import type { Cidr } from "@svcproxy/topology";
import { addressBits, formatCidr } from "@svcproxy/topology";
import type { Match, NegatableRange, NumberRange, Words } from "../match.ts";
import { limitPeriod } from "../text/limit-rate.ts";
import { formatMoreOptions, type MoreMatch } from "../text/more-matches.ts";
import { protocolNumber } from "../text/protocol-names.ts";

/** The single conditions of a match, each as a canonical text; none for what every packet passes. */
export function matchAtoms(match: Match): readonly string[] {
  switch (match.kind) {
    case "source":
    case "destination":
      return !match.negated && match.cidr.prefixLength === 0
        ? []
        : [`${not(match)}${match.kind}=${formatCidr(match.cidr)}`];
    case "inInterface":
    case "outInterface":
      return !match.negated && match.name === "+" ? [] : [`${not(match)}${match.kind}=${match.name}`];
    case "protocol":
      return [`${not(match)}protocol=${protocolNumber(match.protocol) ?? match.protocol}`];
    case "fragment":
      return [`${not(match)}fragment`];
    case "tcp":
      return [
        ...portAtoms(match),
        ...(match.flags ? [`${not(match.flags)}flags=${names(match.flags.mask)}/${names(match.flags.set)}`] : []),
        ...(match.option ? [`${not(match.option)}option=${match.option.number}`] : []),
      ];
    case "udp":
      return portAtoms(match);
    case "sctp":
      return [
        ...portAtoms(match),
        ...(match.chunkTypes ? [`${not(match.chunkTypes)}chunks=${match.chunkTypes.words.join(" ")}`] : []),
      ];
    case "multiport":
      return [`${not(match)}${match.direction}Ports=${ranges(match.ports)}`];
    case "icmp":
      return [`${not(match)}icmp=${match.type}${match.code === undefined ? "" : `/${ranges([match.code])}`}`];
    case "addrtype": {
      const limit = match.limitInterface === undefined ? "" : ` on ${match.limitInterface}`;
      return [
        ...(match.source ? [`${not(match.source)}srctype=${names(match.source.types)}${limit}`] : []),
        ...(match.destination ? [`${not(match.destination)}dsttype=${names(match.destination.types)}${limit}`] : []),
      ];
    }
    case "mark":
    case "connmark":
      if (!match.negated && match.mask === 0 && match.value === 0) return [];
      return [`${not(match)}${match.kind}=${match.value}/${match.mask}`];
    case "conntrack":
      return conntrackAtoms(match);
    case "state":
      return [`${not(match)}ctstate=${names(match.states)}`];
    case "statistic":
      return statisticAtoms(match);
    case "comment":
      return [];
    default:
      return otherAtoms(match);
  }
}

type OtherMatch = Extract<
  Match,
  {
    kind:
      | ("recent" | "set" | "physdev" | "limit" | "owner" | "iprange" | "socket" | "rpfilter")
      | ("mac" | "length" | "ttl" | "unknown")
      | MoreMatch["kind"];
  }
>;

function otherAtoms(match: OtherMatch): readonly string[] {
  switch (match.kind) {
    case "recent": {
      const mask = match.mask === undefined || isWhole(match.mask) ? "" : match.mask;
      return [
        `${not(match)}recent=${JSON.stringify([
          ...[match.action, match.name, match.side, mask, match.seconds ?? "", match.hitCount ?? ""],
          ...[match.reap === true, match.rttl === true],
        ])}`,
      ];
    }
    case "set":
      return [`${not(match)}set=${JSON.stringify([match.name, ...match.directions])} ${JSON.stringify(match.rest)}`];
    case "physdev":
      return [
        ...(match.inInterface ? [`${not(match.inInterface)}physin=${match.inInterface.name}`] : []),
        ...(match.outInterface ? [`${not(match.outInterface)}physout=${match.outInterface.name}`] : []),
        ...(match.isIn ? [`${not(match.isIn)}physIsIn`] : []),
        ...(match.isOut ? [`${not(match.isOut)}physIsOut`] : []),
        ...(match.isBridged ? [`${not(match.isBridged)}physIsBridged`] : []),
      ];
    case "limit":
      return [`limit=${limitPeriod(match.rate) ?? match.rate}/${match.burst}`];
    case "owner":
      return [
        ...(match.user ? [`${not(match.user)}user=${match.user.text}`] : []),
        ...(match.group ? [`${not(match.group)}group=${match.group.text} ${match.supplementaryGroups === true}`] : []),
        ...(match.socketExists ? [`${not(match.socketExists)}socketExists`] : []),
      ];
    case "iprange":
      return [
        ...(match.source ? [`${not(match.source)}srcrange=${match.source.from}-${match.source.to}`] : []),
        ...(match.destination
          ? [`${not(match.destination)}dstrange=${match.destination.from}-${match.destination.to}`]
          : []),
      ];
    case "socket":
      return [`socket=${match.transparent},${match.nowildcard},${match.restoreMark}`];
    case "rpfilter":
      return [`rpfilter=${match.loose},${match.validmark},${match.acceptLocal},${match.invert}`];
    case "mac":
      return [`${not(match)}mac=${match.address.toLowerCase()}`];
    case "length":
      return !match.negated && match.from === 0 && match.to === 65535
        ? []
        : [`${not(match)}length=${match.from}-${match.to}`];
    case "ttl":
      return [`ttl ${match.comparison} ${match.value}`];
    case "unknown":
      return [`${JSON.stringify(match.module ?? "")} ${JSON.stringify(match.words)}`];
    case "policy":
      return [`policy ${match.direction} ${match.policy} ${policyElements(match.words).join(" > ")}`];
    default:
      // Their options are printed in one order, each in one spelling.
      return [`${match.kind}${formatMoreOptions(match, { style: "save", family: 4 })}`];
  }
}

function not({ negated }: { readonly negated: boolean }): string {
  return negated ? "!" : "";
}

function names(list: readonly string[]): string {
  return [...new Set(list)].sort().join(",");
}

function isWhole(mask: Parameters<typeof addressBits>[0]): boolean {
  const bits = addressBits(mask);
  return bits === 0xffffffffn || bits === (1n << 128n) - 1n;
}

/** Sorted, with overlapping and neighbouring ranges joined. */
function ranges(list: readonly NumberRange[]): string {
  const joined: { from: number; to: number }[] = [];
  for (const { from, to } of list.toSorted((a, b) => a.from - b.from)) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else joined.push({ from, to });
  }
  return joined.map(({ from, to }) => `${from}-${to}`).join(",");
}

function portAtoms(match: { sourcePorts?: NegatableRange; destinationPorts?: NegatableRange }): string[] {
  return [...rangeAtom("sourcePorts", match.sourcePorts), ...rangeAtom("destinationPorts", match.destinationPorts)];
}

function rangeAtom(name: string, range: NegatableRange | undefined): readonly string[] {
  if (range === undefined || (!range.negated && range.from === 0 && range.to === 65535)) return [];
  return [`${not(range)}${name}=${range.from}-${range.to}`];
}

function conntrackAtoms(match: Extract<Match, { kind: "conntrack" }>): readonly string[] {
  const block = (name: string, side: { readonly negated: boolean; readonly cidr: Cidr } | undefined) =>
    side === undefined ? [] : [`${not(side)}${name}=${formatCidr(side.cidr)}`];
  return [
    ...(match.states ? [`${not(match.states)}ctstate=${names(match.states.states)}`] : []),
    ...(match.status ? [`${not(match.status)}ctstatus=${names(match.status.statuses)}`] : []),
    ...(match.protocol
      ? [`${not(match.protocol)}ctproto=${protocolNumber(match.protocol.protocol) ?? match.protocol.protocol}`]
      : []),
    ...block("ctorigsrc", match.originalSource),
    ...block("ctorigdst", match.originalDestination),
    ...block("ctreplsrc", match.replySource),
    ...block("ctrepldst", match.replyDestination),
    ...rangeAtom("ctorigsrcport", match.originalSourcePorts),
    ...rangeAtom("ctorigdstport", match.originalDestinationPorts),
    ...rangeAtom("ctreplsrcport", match.replySourcePorts),
    ...rangeAtom("ctrepldstport", match.replyDestinationPorts),
    ...(match.expire ? [`${not(match.expire)}ctexpire=${match.expire.from}-${match.expire.to}`] : []),
    ...(match.direction ? [`ctdir=${match.direction}`] : []),
  ];
}

function statisticAtoms(match: Extract<Match, { kind: "statistic" }>): readonly string[] {
  if (match.mode === "nth") return [`${not(match)}nth=${match.every}/${match.packet}`];
  const threshold = match.negated ? 2 ** 31 - match.threshold : match.threshold;
  return threshold === 2 ** 31 ? [] : [`random=${threshold}`];
}

/** The elements of an IPsec policy in order, the options of each in any. */
function policyElements(words: Words): readonly string[] {
  const elements: string[][] = [[]];
  for (const word of words) {
    if (word === "--next") elements.push([]);
    else if (word.startsWith("--") || word === "!") elements.at(-1)?.push(word);
    else elements.at(-1)?.push(`${elements.at(-1)?.pop() ?? ""} ${word}`);
  }
  return elements.map((options) => options.sort().join(" "));
}

import type { Cidr } from "@svcproxy/topology";
import { addressWidth } from "@svcproxy/topology";
import type { Match, NegatableRange, NetworkMatch, NumberRange } from "../match.ts";
import type { FormatOptions, RuleStyle } from "./format-style.ts";
import { quoteWord, quoteWords, storableComment } from "./format-style.ts";
import { formatMoreOptions } from "./more-matches.ts";
import { ALL_BITS } from "./option-values.ts";
import { protocolNumber } from "./protocol-names.ts";
import { quoteSavedWord } from "./restore-words.ts";

/** One match as text, without blanks around it. */
export function formatMatch(match: Match, options: FormatOptions): string {
  switch (match.kind) {
    case "source":
      return `${not(match)}-s ${formatNetwork(match, options)}`;
    case "destination":
      return `${not(match)}-d ${formatNetwork(match, options)}`;
    case "inInterface":
      return `${not(match)}-i ${quoteWord(match.name, options)}`;
    case "outInterface":
      return `${not(match)}-o ${quoteWord(match.name, options)}`;
    case "protocol":
      return `${not(match)}-p ${quoteWord(match.protocol, options)}`;
    case "fragment":
      return `${not(match)}-f`;
    case "unknown": {
      const words = match.module === undefined ? match.words : [match.module, ...match.words];
      return `${match.module === undefined ? "" : "-m "}${quoteWords(words, options)}`;
    }
    default:
      return `-m ${moduleName(match, options)}${formatModuleOptions(match, options)}`;
  }
}

type ModuleMatch = Exclude<
  Match,
  { kind: "source" | "destination" | "inInterface" | "outInterface" | "protocol" | "fragment" | "unknown" }
>;

function moduleName({ kind }: ModuleMatch, { family }: FormatOptions): string {
  if (family === 4) return kind;
  return kind === "icmp" ? "icmp6" : kind === "ttl" ? "hl" : kind;
}

/**
 * The options of a module, each behind a blank. No closure in here takes hold of `options`: each call would then need memory
 * for it, and a large cluster makes half a million.
 */
function formatModuleOptions(match: ModuleMatch, options: FormatOptions): string {
  switch (match.kind) {
    case "tcp":
      return portOptions(match) + formatTcpHeader(match);
    case "udp":
      return portOptions(match);
    case "sctp": {
      const { chunkTypes: types } = match;
      if (types === undefined) return portOptions(match);
      return `${portOptions(match)} ${not(types)}--chunk-types ${quoteWords(types.words, options)}`;
    }
    case "icmp": {
      const code = optional(match.code, ({ from, to }) => (from === to ? `/${from}` : `/${from}-${to}`));
      return ` ${not(match)}--icmp${options.family === 4 ? "" : "v6"}-type ${match.type}${code}`;
    }
    case "multiport":
      return ` ${not(match)}${MULTIPORT_OPTIONS[match.direction]} ${match.ports.map(formatPorts).join(",")}`;
    case "addrtype":
      return (
        optional(match.source, (source) => ` ${not(source)}--src-type ${source.types.join(",")}`) +
        optional(match.destination, (destination) => ` ${not(destination)}--dst-type ${destination.types.join(",")}`) +
        optional(match.limitInterface, (side) => ` --limit-iface-${side}`)
      );
    case "mark":
    case "connmark":
      return ` ${not(match)}--mark ${formatMasked(match)}`;
    case "conntrack":
      return formatConntrack(match, options);
    case "state":
      return ` ${not(match)}--state ${match.states.join(",")}`;
    case "statistic":
      return formatStatistic(match, options);
    case "recent":
      return formatRecent(match, options);
    case "comment":
      if (options.style === "save") return ` --comment ${quoteSavedWord(match.text)}`;
      return ` --comment ${quoteWord(storableComment(match.text), options)}`;
    case "set": {
      const rest = match.rest.length === 0 ? "" : ` ${quoteWords(match.rest, options)}`;
      return ` ${not(match)}--match-set ${quoteWord(match.name, options)} ${match.directions.join(",")}${rest}`;
    }
    case "physdev":
      return formatPhysdev(match, options);
    case "limit":
      return ` --limit ${match.rate}${match.burst === 5 ? "" : ` --limit-burst ${match.burst}`}`;
    case "owner":
      return formatOwner(match, options);
    case "iprange":
      return (
        optional(match.source, (range) => ` ${not(range)}--src-range ${range.from}-${range.to}`) +
        optional(match.destination, (range) => ` ${not(range)}--dst-range ${range.from}-${range.to}`)
      );
    case "socket":
      return (
        flag(match.transparent, "--transparent") +
        flag(match.nowildcard, "--nowildcard") +
        flag(match.restoreMark, "--restore-skmark")
      );
    case "rpfilter":
      return (
        flag(match.loose, "--loose") +
        flag(match.validmark, "--validmark") +
        flag(match.acceptLocal, "--accept-local") +
        flag(match.invert, "--invert")
      );
    case "mac":
      return ` ${not(match)}--mac-source ${match.address}`;
    case "length":
      return ` ${not(match)}--length ${match.from === match.to ? match.from : `${match.from}:${match.to}`}`;
    case "ttl": {
      const { comparison, value } = match;
      const prefix = options.family === 4 ? "ttl" : "hl";
      return comparison === "ne" ? ` ! --${prefix}-eq ${value}` : ` --${prefix}-${comparison} ${value}`;
    }
    default:
      return formatMoreOptions(match, options);
  }
}

const MULTIPORT_OPTIONS = { source: "--sports", destination: "--dports", either: "--ports" } as const;

function not({ negated }: { readonly negated: boolean }): string {
  return negated ? "! " : "";
}

function flag(isSet: boolean | undefined, option: string): string {
  return isSet === true ? ` ${option}` : "";
}

function optional<Value>(value: Value | undefined, format: (value: Value) => string): string {
  return value === undefined ? "" : format(value);
}

function flagList(flags: readonly string[]): string {
  return flags.length === 0 ? "NONE" : flags.join(",");
}

/** People leave the length of a single address out; iptables-save does not. */
function formatNetwork(
  { cidr: { address, prefixLength }, isBlock }: Pick<NetworkMatch, "cidr" | "isBlock">,
  { style, family }: FormatOptions,
): string {
  return style !== "save" && isBlock !== true && prefixLength === addressWidth(family)
    ? address
    : `${address}/${prefixLength}`;
}

function formatPorts({ from, to }: NumberRange): string {
  return from === to ? String(from) : `${from}:${to}`;
}

function portOptions(match: Extract<Match, { kind: "tcp" | "udp" | "sctp" }>): string {
  return portOption("--sport", match.sourcePorts) + portOption("--dport", match.destinationPorts);
}

function portOption(option: string, ports: NegatableRange | undefined): string {
  return ports === undefined ? "" : ` ${not(ports)}${option} ${formatPorts(ports)}`;
}

/** `value`, with `/mask` where not every bit counts. */
export function formatMasked({ value, mask }: { readonly value: number; readonly mask: number }): string {
  return mask === ALL_BITS ? formatHex(value) : `${formatHex(value)}/${formatHex(mask)}`;
}

export function formatHex(value: number): string {
  return `0x${value.toString(16)}`;
}

function formatTcpHeader({ option, flags }: Extract<Match, { kind: "tcp" }>): string {
  const ofOption = option === undefined ? "" : ` ${not(option)}--tcp-option ${option.number}`;
  return flags === undefined
    ? ofOption
    : `${ofOption} ${not(flags)}--tcp-flags ${flagList(flags.mask)} ${flagList(flags.set)}`;
}

function formatPhysdev(match: Extract<Match, { kind: "physdev" }>, options: FormatOptions): string {
  return (
    optional(match.inInterface, (device) => ` ${not(device)}--physdev-in ${quoteWord(device.name, options)}`) +
    optional(match.isIn, (flag) => ` ${not(flag)}--physdev-is-in`) +
    optional(match.outInterface, (device) => ` ${not(device)}--physdev-out ${quoteWord(device.name, options)}`) +
    optional(match.isOut, (flag) => ` ${not(flag)}--physdev-is-out`) +
    optional(match.isBridged, (flag) => ` ${not(flag)}--physdev-is-bridged`)
  );
}

function formatOwner(match: Extract<Match, { kind: "owner" }>, options: FormatOptions): string {
  return (
    optional(match.socketExists, (flag) => ` ${not(flag)}--socket-exists`) +
    optional(match.user, (user) => ` ${not(user)}--uid-owner ${quoteWord(user.text, options)}`) +
    optional(match.group, (group) => ` ${not(group)}--gid-owner ${quoteWord(group.text, options)}`) +
    flag(match.supplementaryGroups, "--suppl-groups")
  );
}

function formatConntrack(match: Extract<Match, { kind: "conntrack" }>, options: FormatOptions): string {
  const address = (side: { readonly negated: boolean; readonly cidr: Cidr } | undefined, option: string) =>
    optional(side, (value) => ` ${not(value)}${option} ${formatNetwork(value, { ...options, style: "command" })}`);
  const range = (ports: NegatableRange | undefined, option: string) =>
    optional(ports, (value) => ` ${not(value)}${option} ${formatPorts(value)}`);
  const protocol = (name: string) => (options.style === "save" ? String(protocolNumber(name) ?? name) : name);
  return (
    optional(match.states, (value) => ` ${not(value)}--ctstate ${value.states.join(",")}`) +
    optional(match.protocol, (value) => ` ${not(value)}--ctproto ${quoteWord(protocol(value.protocol), options)}`) +
    address(match.originalSource, "--ctorigsrc") +
    address(match.originalDestination, "--ctorigdst") +
    address(match.replySource, "--ctreplsrc") +
    address(match.replyDestination, "--ctrepldst") +
    range(match.originalSourcePorts, "--ctorigsrcport") +
    range(match.originalDestinationPorts, "--ctorigdstport") +
    range(match.replySourcePorts, "--ctreplsrcport") +
    range(match.replyDestinationPorts, "--ctrepldstport") +
    optional(match.status, (value) => ` ${not(value)}--ctstatus ${value.statuses.join(",")}`) +
    range(match.expire, "--ctexpire") +
    optional(match.direction, (direction) => ` --ctdir ${direction}`)
  );
}

/** The shares of 2^31 that a `--probability` of eleven decimals tells apart, as libxt_statistic prints them. */
const PROBABILITY_DECIMALS = 11;

function formatStatistic(match: Extract<Match, { kind: "statistic" }>, { style }: FormatOptions): string {
  if (match.mode === "nth") return ` --mode nth ${not(match)}--every ${match.every} --packet ${match.packet}`;
  const written = style === "save" ? undefined : match.text;
  return ` --mode random ${not(match)}--probability ${written ?? probabilityText(match.threshold, style)}`;
}

function probabilityText(threshold: number, style: RuleStyle): string {
  const exact = (threshold / 2 ** 31).toFixed(PROBABILITY_DECIMALS);
  return style === "save" ? exact : exact.replace(/\.?0+$/, "");
}

function formatRecent(match: Extract<Match, { kind: "recent" }>, options: FormatOptions): string {
  const isSave = options.style === "save";
  const mask = match.mask ?? (isSave ? wholeMask(options) : undefined);
  const name = ` --name ${quoteWord(match.name, options)}`;
  return (
    (isSave ? "" : name) +
    ` ${not(match)}--${match.action}` +
    optional(match.seconds, (seconds) => ` --seconds ${seconds}`) +
    flag(match.reap, "--reap") +
    optional(match.hitCount, (hits) => ` --hitcount ${hits}`) +
    flag(match.rttl, "--rttl") +
    (isSave ? name : "") +
    optional(mask, (value) => ` --mask ${value}`) +
    (match.side === "destination" ? " --rdest" : flag(isSave, "--rsource"))
  );
}

function wholeMask({ family }: FormatOptions): string {
  return family === 4 ? "255.255.255.255" : "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
}

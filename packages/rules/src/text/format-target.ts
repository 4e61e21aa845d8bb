import { familyOf, unreachable } from "@svcproxy/topology";
import type { NumberRange } from "../match.ts";
import type { NatRange, Target } from "../target.ts";
import { formatHex, formatMasked } from "./format-match.ts";
import type { FormatOptions } from "./format-style.ts";
import { quoteWord, quoteWords } from "./format-style.ts";
import { formatByte } from "./more-matches.ts";
import { ALL_BITS } from "./option-values.ts";

/** `-j …` or `-g …`; empty for a rule without a target. */
export function formatTarget(target: Target, options: FormatOptions): string {
  switch (target.kind) {
    case "none":
      return "";
    case "accept":
      return "-j ACCEPT";
    case "drop":
      return "-j DROP";
    case "return":
      return "-j RETURN";
    case "jump":
      return `-j ${quoteWord(target.chain, options)}`;
    case "goto":
      return `-g ${quoteWord(target.chain, options)}`;
    case "dnat":
      return `-j DNAT --to-destination ${quoteWord(formatNatRange(target.to), options)}${natFlags(target.to)}`;
    case "snat":
      return `-j SNAT --to-source ${quoteWord(formatNatRange(target.to), options)}${natFlags(target.to)}`;
    case "masquerade":
      return `-j MASQUERADE${toPorts(target.ports)}${natFlags(target)}`;
    case "redirect":
      return `-j REDIRECT${toPorts(target.ports)}${natFlags(target)}`;
    case "mark":
      return `-j MARK ${formatMarkChange(target, options)}`;
    case "connmark":
      return `-j CONNMARK ${formatConnmark(target, options)}`;
    case "reject":
      // iptables-save names what everybody means who names nothing.
      return options.style !== "save" && target.with === DEFAULT_REJECT[options.family]
        ? "-j REJECT"
        : `-j REJECT --reject-with ${quoteWord(target.with, options)}`;
    case "log":
      return `-j LOG${moreWords(target.words, options)}`;
    case "nflog":
      return `-j NFLOG${moreWords(target.words, options)}`;
    case "tcpmss":
      return `-j TCPMSS${moreWords(target.words, options)}`;
    case "ct":
      return target.notrack && target.words.length === 0 ? "-j NOTRACK" : `-j CT${moreWords(target.words, options)}`;
    case "checksum":
      return `-j CHECKSUM${moreWords(target.words, options)}`;
    case "tproxy": {
      const address = target.address ?? (options.family === 4 ? "0.0.0.0" : "::");
      const onIp = target.address === undefined && options.style !== "save" ? "" : ` --on-ip ${address}`;
      const mark = `${formatHex(target.value)}/${formatHex(target.mask)}`;
      return `-j TPROXY --on-port ${target.port}${onIp} --tproxy-mark ${mark}`;
    }
    case "trace":
      return "-j TRACE";
    case "netmap":
      return `-j NETMAP --to ${target.to.address}/${target.to.prefixLength}`;
    case "set":
      return `-j SET${moreWords(target.words, options)}`;
    case "tos":
      return `-j TOS --set-tos ${formatByte(target.value)}/${formatByte(target.mask)}`;
    case "dscp":
      return `-j DSCP --set-dscp ${formatByte(target.value)}`;
    case "ttl":
      return options.family === 4
        ? `-j TTL --ttl-${target.change} ${target.value}`
        : `-j HL --hl-${target.change} ${target.value}`;
    case "unknown":
      return `-j ${quoteWords([target.name, ...target.words], options)}`;
    default:
      return unreachable(target);
  }
}

function moreWords(words: readonly string[], options: FormatOptions): string {
  return words.length === 0 ? "" : ` ${quoteWords(words, options)}`;
}

const DEFAULT_REJECT = { 4: "icmp-port-unreachable", 6: "icmp6-port-unreachable" } as const;

function formatNatRange({ addresses, ports }: NatRange): string {
  const address =
    addresses === undefined
      ? ""
      : addresses.from === addresses.to
        ? addresses.from
        : `${addresses.from}-${addresses.to}`;
  if (ports === undefined) return address;
  const isBracketed = addresses !== undefined && familyOf(addresses.from) === 6;
  return `${isBracketed ? `[${address}]` : address}:${formatNatPorts(ports)}`;
}

function formatNatPorts({ from, to }: NumberRange): string {
  return from === to ? String(from) : `${from}-${to}`;
}

function toPorts(ports: NumberRange | undefined): string {
  return ports === undefined ? "" : ` --to-ports ${formatNatPorts(ports)}`;
}

function natFlags(flags: Partial<Pick<NatRange, "random" | "randomFully" | "persistent">>): string {
  const random = flags.random ? " --random" : "";
  return `${random}${flags.randomFully ? " --random-fully" : ""}${flags.persistent ? " --persistent" : ""}`;
}

interface MarkChange {
  readonly value: number;
  readonly mask: number;
}

/** The plainest of the five ways to say `(mark & ~mask) ^ value`; iptables-save knows only the last. */
function formatMarkChange({ value, mask }: MarkChange, { style }: FormatOptions): string {
  if (style === "save") return `--set-xmark ${formatHex(value)}/${formatHex(mask)}`;
  if (mask === ALL_BITS) return `--set-mark ${formatHex(value)}`;
  if (mask === value) return `--or-mark ${formatHex(value)}`;
  if (mask === 0) return `--xor-mark ${formatHex(value)}`;
  if (value === 0) return `--and-mark ${formatHex(~mask >>> 0)}`;
  return `--set-xmark ${formatMasked({ value, mask })}`;
}

function formatConnmark(target: Extract<Target, { kind: "connmark" }>, options: FormatOptions): string {
  if (target.action === "set") return formatMarkChange(target, options);
  const { packetMask, connectionMask } = target;
  const isWhole = packetMask === ALL_BITS && connectionMask === ALL_BITS && options.style !== "save";
  const masks = isWhole ? "" : ` --nfmask ${formatHex(packetMask)} --ctmask ${formatHex(connectionMask)}`;
  return `--${action(target.action)}${masks}`;
}

function action(name: "save" | "restore"): string {
  return name === "save" ? "save-mark" : "restore-mark";
}

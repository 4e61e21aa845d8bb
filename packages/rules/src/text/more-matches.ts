import type { DeviceGroup, Match } from "../match.ts";
import type { ParsedOption } from "./extension-syntax.ts";
import { extensionSyntax, optionsByName, optionWords } from "./extension-syntax.ts";
import type { FormatOptions } from "./format-style.ts";
import { quoteWord, quoteWords } from "./format-style.ts";
import { ALL_BITS, readMasked, readNumber } from "./option-values.ts";

/** Modules with few options: their reading and, side by side with it, their printing. */
export type MoreMatch = Extract<
  Match,
  { kind: "pkttype" | "helper" | "devgroup" | "connbytes" | "policy" | "nfacct" | "connlabel" | "tos" | "dscp" }
>;

/** The options behind the module's name, each behind a blank. */
export function formatMoreOptions(match: MoreMatch, options: FormatOptions): string {
  switch (match.kind) {
    case "pkttype":
      return ` ${not(match)}--pkt-type ${match.type}`;
    case "helper":
      return ` ${not(match)}--helper ${quoteWord(match.name, options)}`;
    case "devgroup": {
      const group = (side: DeviceGroup | undefined, option: string) =>
        side === undefined ? "" : ` ${not(side)}${option} ${quoteWord(groupText(side), options)}`;
      return group(match.source, "--src-group") + group(match.destination, "--dst-group");
    }
    case "connbytes": {
      const range = `${match.from}${match.to === undefined ? "" : `:${match.to}`}`;
      return ` ${not(match)}--connbytes ${range} --connbytes-mode ${match.unit} --connbytes-dir ${match.direction}`;
    }
    case "policy": {
      const words = match.words.length === 0 ? "" : ` ${quoteWords(match.words, options)}`;
      return ` --dir ${match.direction} --pol ${match.policy}${words}`;
    }
    case "nfacct":
      return ` --nfacct-name ${quoteWord(match.name, options)}`;
    case "connlabel": {
      const label = options.style === "save" ? `"${match.label}"` : quoteWord(match.label, options);
      return ` ${not(match)}--label ${label}${match.set ? " --set" : ""}`;
    }
    case "tos":
      return ` ${not(match)}--tos ${formatByte(match.value)}/${formatByte(match.mask)}`;
    case "dscp":
      return ` ${not(match)}--dscp ${formatByte(match.value)}`;
  }
}

/** A number as iptables-save prints it; a name as it is. */
function groupText({ text, value, mask }: DeviceGroup): string {
  if (value === undefined || text.startsWith(DEFAULT_GROUP)) return text;
  if (value === 0 && mask === ALL_BITS) return DEFAULT_GROUP;
  return `0x${value.toString(16)}${mask === ALL_BITS ? "" : `/0x${mask.toString(16)}`}`;
}

function not({ negated }: { readonly negated: boolean }): string {
  return negated ? "! " : "";
}

/** `0x0a`, as iptables-save prints the byte of the type of service. */
export function formatByte(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}

/** The only option of a module, where it is there once and known. */
function onlyOption(options: readonly ParsedOption[]): ParsedOption | undefined {
  const [option] = options;
  return options.length === 1 && option?.isKnown === true ? option : undefined;
}

export const PKTTYPE_SYNTAX = extensionSyntax<Match>({ "--pkt-type": 1 }, (options) => {
  const option = onlyOption(options);
  const names = { host: "unicast", unicast: "unicast", broadcast: "broadcast", bcast: "broadcast" } as const;
  const more = { multicast: "multicast", mcast: "multicast" } as const;
  const type = Object.entries({ ...names, ...more }).find(([name]) => name === option?.values[0])?.[1];
  return option && type && { kind: "pkttype", negated: option.negated, type };
});

export const HELPER_SYNTAX = extensionSyntax<Match>({ "--helper": 1 }, (options) => {
  const option = onlyOption(options);
  return option && { kind: "helper", negated: option.negated, name: option.values[0] ?? "" };
});

/** The group of every interface that was put into none. */
const DEFAULT_GROUP = "default";

export const DEVGROUP_SYNTAX = extensionSyntax<Match>({ "--src-group": 1, "--dst-group": 1 }, (options) => {
  const byName = optionsByName(options);
  if (byName === undefined) return undefined;
  const group = ({ values: [text = ""], negated }: ParsedOption): DeviceGroup => {
    const masked = readMasked(text === DEFAULT_GROUP ? "0" : text);
    return { negated, text, value: masked?.value, mask: masked?.mask ?? ALL_BITS };
  };
  const { "--src-group": source, "--dst-group": destination } = byName;
  return {
    kind: "devgroup",
    ...(source === undefined ? {} : { source: group(source) }),
    ...(destination === undefined ? {} : { destination: group(destination) }),
  };
});

const UNITS = ["packets", "bytes", "avgpkt"] as const;
const DIRECTIONS = ["original", "reply", "both"] as const;

export const CONNBYTES_SYNTAX = extensionSyntax<Match>(
  { "--connbytes": 1, "--connbytes-mode": 1, "--connbytes-dir": 1 },
  (options) => {
    const byName = optionsByName(options);
    const range = byName?.["--connbytes"];
    const unit = UNITS.find((name) => name === byName?.["--connbytes-mode"]?.values[0]);
    const direction = DIRECTIONS.find((name) => name === byName?.["--connbytes-dir"]?.values[0]);
    const [from = "", to = "", ...others] = range?.values[0]?.split(":") ?? [];
    const [low, high] = [from === "" ? 0 : readAmount(from), to === "" ? undefined : readAmount(to)];
    if (range === undefined || unit === undefined || direction === undefined || others.length > 0) return undefined;
    if (low === undefined || (to !== "" && high === undefined)) return undefined;
    const end = high === undefined ? {} : { to: high };
    // A range behind `!` is given to the kernel with its ends swapped: of a single number nothing is left of the `!`.
    return { kind: "connbytes", negated: range.negated && low !== high, from: low, ...end, unit, direction };
  },
);

/** The kernel counts in 64 bits; what a plain number cannot hold is kept word for word. */
function readAmount(text: string): number | undefined {
  return readNumber(text, Number.MAX_SAFE_INTEGER);
}

export const POLICY_SYNTAX = extensionSyntax<Match>(
  {
    ...{ "--dir": 1, "--pol": 1, "--strict": 0, "--reqid": 1, "--spi": 1, "--proto": 1, "--mode": 1 },
    ...{ "--tunnel-src": 1, "--tunnel-dst": 1, "--next": 0 },
  },
  (options) => {
    if (options.some(({ isKnown }) => !isKnown)) return undefined;
    const given = (name: string) => options.find((option) => option.name === name && !option.negated)?.values[0];
    const direction = (["in", "out"] as const).find((name) => name === given("--dir"));
    const policy = (["none", "ipsec"] as const).find((name) => name === given("--pol"));
    if (direction === undefined || policy === undefined) return undefined;
    const rest = options.filter(({ name }) => name !== "--dir" && name !== "--pol");
    return { kind: "policy", direction, policy, words: rest.flatMap(optionWords) };
  },
);

export const NFACCT_SYNTAX = extensionSyntax<Match>({ "--nfacct-name": 1 }, (options) => {
  const option = onlyOption(options);
  return option && !option.negated ? { kind: "nfacct", name: option.values[0] ?? "" } : undefined;
});

export const CONNLABEL_SYNTAX = extensionSyntax<Match>({ "--label": 1, "--set": 0 }, (options) => {
  const byName = optionsByName(options);
  const label = byName?.["--label"];
  const set = byName?.["--set"];
  if (label === undefined || set?.negated === true) return undefined;
  return { kind: "connlabel", negated: label.negated, label: label.values[0] ?? "", set: set !== undefined };
});

export const TOS_SYNTAX = extensionSyntax<Match>({ "--tos": 1 }, (options) => {
  const option = onlyOption(options);
  const masked = option && readTos(option.values[0] ?? "");
  return masked && { kind: "tos", negated: option?.negated === true, ...masked };
});

/** `value[/mask]` of one byte; the names that iptables has for some are kept word for word. */
export function readTos(text: string): { readonly value: number; readonly mask: number } | undefined {
  const [value = "", mask = "0xff", ...others] = text.split("/");
  const [number, bits] = [readNumber(value, 0xff), readNumber(mask, 0xff)];
  return number === undefined || bits === undefined || others.length > 0 ? undefined : { value: number, mask: bits };
}

export const DSCP_SYNTAX = extensionSyntax<Match>({ "--dscp": 1 }, (options) => {
  const option = onlyOption(options);
  const value = readNumber(option?.values[0] ?? "", 0x3f);
  return option && value !== undefined ? { kind: "dscp", negated: option.negated, value } : undefined;
});

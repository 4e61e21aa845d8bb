import type { Match } from "../match.ts";
import type { ParsedOption } from "./extension-syntax.ts";
import { extensionSyntax, optionsByName, optionWords } from "./extension-syntax.ts";
import { readIcmpType } from "./icmp-types.ts";
import { readLimitRate } from "./limit-rate.ts";
import { readAddressRange, readNumber, readNumberRange } from "./option-values.ts";

/** Matches on the packet itself, on where it comes from and on what this host knows of its addresses. */

export const ICMP_SYNTAX = extensionSyntax<Match>(
  { "--icmp-type": 1, "--icmpv6-type": 1 },
  (options, family) => {
    const [option] = options;
    if (option === undefined || options.length > 1 || !option.isKnown) return undefined;
    const type = readIcmpType(option.values[0] ?? "", family);
    return type && { kind: "icmp", negated: option.negated, ...type };
  },
  { "--icmp6-type": "--icmpv6-type" },
);

export const ADDRTYPE_SYNTAX = extensionSyntax<Match>(
  { "--src-type": 1, "--dst-type": 1, "--limit-iface-in": 0, "--limit-iface-out": 0 },
  (options) => {
    const byName = optionsByName(options);
    if (byName === undefined) return undefined;
    const types = (option: ParsedOption) => ({
      negated: option.negated,
      types: (option.values[0] ?? "").toUpperCase().split(","),
    });
    const { "--src-type": source, "--dst-type": destination, "--limit-iface-in": limitIn } = byName;
    const isLimited = limitIn !== undefined || byName["--limit-iface-out"] !== undefined;
    return {
      kind: "addrtype",
      ...(source === undefined ? {} : { source: types(source) }),
      ...(destination === undefined ? {} : { destination: types(destination) }),
      ...(isLimited ? { limitInterface: limitIn === undefined ? "out" : "in" } : {}),
    };
  },
);

export const COMMENT_SYNTAX = extensionSyntax<Match>({ "--comment": 1 }, (options) => {
  const [option] = options;
  if (option === undefined || options.length > 1 || !option.isKnown) return undefined;
  return { kind: "comment", text: option.values[0] ?? "" };
});

export const SET_SYNTAX = extensionSyntax<Match>(
  {
    ...{ "--match-set": 2, "--return-nomatch": 0, "--update-counters": 0, "--update-subcounters": 0 },
    ...{ "--packets-eq": 1, "--packets-lt": 1, "--packets-gt": 1, "--bytes-eq": 1, "--bytes-lt": 1, "--bytes-gt": 1 },
  },
  (options) => {
    if (options.some((option) => !option.isKnown)) return undefined;
    const [set, ...others] = options.filter((option) => option.name === "--match-set");
    const [name, flags = ""] = set?.values ?? [];
    if (set === undefined || name === undefined || others.length > 0) return undefined;
    const directions = flags.split(",").filter((flag) => flag === "src" || flag === "dst");
    if (directions.length < flags.split(",").length) return undefined;
    const rest = options.filter((option) => option !== set).flatMap(optionWords);
    return { kind: "set", negated: set.negated, name, directions, rest };
  },
  { "--set": "--match-set" },
);

export const PHYSDEV_SYNTAX = extensionSyntax<Match>(
  {
    ...{ "--physdev-in": 1, "--physdev-out": 1 },
    ...{ "--physdev-is-in": 0, "--physdev-is-out": 0, "--physdev-is-bridged": 0 },
  },
  (options) => {
    const byName = optionsByName(options);
    if (byName === undefined) return undefined;
    const device = (option: ParsedOption) => ({ negated: option.negated, name: option.values[0] ?? "" });
    const flag = (option: ParsedOption) => ({ negated: option.negated });
    const { "--physdev-in": input, "--physdev-out": output, "--physdev-is-in": isIn } = byName;
    const { "--physdev-is-out": isOut, "--physdev-is-bridged": isBridged } = byName;
    return {
      kind: "physdev",
      ...(input === undefined ? {} : { inInterface: device(input) }),
      ...(output === undefined ? {} : { outInterface: device(output) }),
      ...(isIn === undefined ? {} : { isIn: flag(isIn) }),
      ...(isOut === undefined ? {} : { isOut: flag(isOut) }),
      ...(isBridged === undefined ? {} : { isBridged: flag(isBridged) }),
    };
  },
);

export const LIMIT_SYNTAX = extensionSyntax<Match>({ "--limit": 1, "--limit-burst": 1 }, (options) => {
  const byName = optionsByName(options);
  if (byName === undefined || options.some((option) => option.negated)) return undefined;
  const rate = readLimitRate(byName["--limit"]?.values[0] ?? "3/hour");
  const burst = readNumber(byName["--limit-burst"]?.values[0] ?? "5", 10_000);
  return rate === undefined || burst === undefined ? undefined : { kind: "limit", rate, burst };
});

export const OWNER_SYNTAX = extensionSyntax<Match>(
  { "--uid-owner": 1, "--gid-owner": 1, "--socket-exists": 0, "--suppl-groups": 0 },
  (options) => {
    const byName = optionsByName(options);
    if (byName === undefined) return undefined;
    const text = (option: ParsedOption) => ({ negated: option.negated, text: option.values[0] ?? "" });
    const { "--uid-owner": user, "--gid-owner": group, "--socket-exists": exists } = byName;
    return {
      kind: "owner",
      ...(user === undefined ? {} : { user: text(user) }),
      ...(group === undefined ? {} : { group: text(group) }),
      ...(exists === undefined ? {} : { socketExists: { negated: exists.negated } }),
      ...(byName["--suppl-groups"] === undefined ? {} : { supplementaryGroups: true }),
    };
  },
);

export const IPRANGE_SYNTAX = extensionSyntax<Match>({ "--src-range": 1, "--dst-range": 1 }, (options) => {
  const byName = optionsByName(options);
  if (byName === undefined) return undefined;
  const { "--src-range": sourceOption, "--dst-range": destinationOption } = byName;
  const source = sourceOption && readAddressRange(sourceOption.values[0] ?? "");
  const destination = destinationOption && readAddressRange(destinationOption.values[0] ?? "");
  if ((sourceOption && !source) || (destinationOption && !destination)) return undefined;
  return {
    kind: "iprange",
    ...(source === undefined ? {} : { source: { negated: sourceOption?.negated ?? false, ...source } }),
    ...(destination === undefined
      ? {}
      : { destination: { negated: destinationOption?.negated ?? false, ...destination } }),
  };
});

export const SOCKET_SYNTAX = extensionSyntax<Match>(
  { "--transparent": 0, "--nowildcard": 0, "--restore-skmark": 0 },
  (options) => {
    const byName = plainFlags(options);
    return (
      byName && {
        kind: "socket",
        transparent: byName["--transparent"] !== undefined,
        nowildcard: byName["--nowildcard"] !== undefined,
        restoreMark: byName["--restore-skmark"] !== undefined,
      }
    );
  },
);

export const RPFILTER_SYNTAX = extensionSyntax<Match>(
  { "--loose": 0, "--validmark": 0, "--accept-local": 0, "--invert": 0 },
  (options) => {
    const byName = plainFlags(options);
    return (
      byName && {
        kind: "rpfilter",
        loose: byName["--loose"] !== undefined,
        validmark: byName["--validmark"] !== undefined,
        acceptLocal: byName["--accept-local"] !== undefined,
        invert: byName["--invert"] !== undefined,
      }
    );
  },
);

/** Options that cannot be negated. */
function plainFlags(options: readonly ParsedOption[]): ReturnType<typeof optionsByName> {
  return options.some((option) => option.negated) ? undefined : optionsByName(options);
}

export const MAC_SYNTAX = extensionSyntax<Match>({ "--mac-source": 1 }, (options) => {
  const [option] = options;
  const address = option?.values[0]?.toLowerCase() ?? "";
  if (option === undefined || options.length > 1 || !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(address)) return undefined;
  return { kind: "mac", negated: option.negated, address };
});

export const LENGTH_SYNTAX = extensionSyntax<Match>({ "--length": 1 }, (options) => {
  const [option] = options;
  const range = option && readNumberRange(option.values[0] ?? "", 65535);
  return range && options.length === 1 ? { kind: "length", negated: option.negated, ...range } : undefined;
});

/** `-m ttl`, and `-m hl` of IPv6. */
export const TTL_SYNTAX = extensionSyntax<Match>(
  { "--ttl-eq": 1, "--ttl-lt": 1, "--ttl-gt": 1 },
  (options) => {
    const [option] = options;
    const value = readNumber(option?.values[0] ?? "", 255);
    if (option === undefined || options.length > 1 || value === undefined) return undefined;
    if (option.name === "--ttl-eq") return { kind: "ttl", comparison: option.negated ? "ne" : "eq", value };
    return option.negated ? undefined : { kind: "ttl", comparison: option.name === "--ttl-lt" ? "lt" : "gt", value };
  },
  { "--ttl": "--ttl-eq", "--hl-eq": "--ttl-eq", "--hl-lt": "--ttl-lt", "--hl-gt": "--ttl-gt" },
);

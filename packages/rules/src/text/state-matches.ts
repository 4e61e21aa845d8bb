import type { Match, NegatableRange } from "../match.ts";
import type { ParsedOption } from "./extension-syntax.ts";
import { extensionSyntax, optionsByName } from "./extension-syntax.ts";
import { readMasked, readNetwork, readNumber, readNumberRange, readPortRange } from "./option-values.ts";
import { protocolName } from "./protocol-names.ts";
import { RuleFault } from "./rule-fault.ts";

/** Matches on what the kernel remembers of a packet or of its connection. */

export const MARK_SYNTAX = extensionSyntax<Match>({ "--mark": 1 }, (options) => readMarkMatch("mark", options));
export const CONNMARK_SYNTAX = extensionSyntax<Match>({ "--mark": 1 }, (options) => readMarkMatch("connmark", options));

function readMarkMatch(kind: "mark" | "connmark", options: readonly ParsedOption[]): Match | undefined {
  const [option] = options;
  if (option === undefined || options.length > 1 || !option.isKnown) return undefined;
  const masked = readMasked(option.values[0] ?? "");
  return masked && { kind, negated: option.negated, ...masked };
}

const CONNTRACK_STATES = ["INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"];
const CONNTRACK_STATUSES = ["NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"];

/** @throws RuleFault for a word that is not one of `known` */
function readNames(text: string, known: readonly string[]): readonly string[] {
  const names = text.toUpperCase().split(",");
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new RuleFault(`${JSON.stringify(unknown)} is none of ${known.join(", ")}`);
  return names;
}

export const STATE_SYNTAX = extensionSyntax<Match>({ "--state": 1 }, (options) => {
  const [option] = options;
  if (option === undefined || options.length > 1 || !option.isKnown) return undefined;
  return { kind: "state", negated: option.negated, states: readNames(option.values[0] ?? "", CONNTRACK_STATES) };
});

type ConntrackMatch = Extract<Match, { kind: "conntrack" }>;
type ConntrackFields = { -readonly [Field in keyof ConntrackMatch]: ConntrackMatch[Field] };

const CONNTRACK_ADDRESSES = {
  "--ctorigsrc": "originalSource",
  "--ctorigdst": "originalDestination",
  "--ctreplsrc": "replySource",
  "--ctrepldst": "replyDestination",
} as const;

const CONNTRACK_PORTS = {
  "--ctorigsrcport": "originalSourcePorts",
  "--ctorigdstport": "originalDestinationPorts",
  "--ctreplsrcport": "replySourcePorts",
  "--ctrepldstport": "replyDestinationPorts",
} as const;

export const CONNTRACK_SYNTAX = extensionSyntax<Match>(
  {
    "--ctstate": 1,
    "--ctproto": 1,
    "--ctstatus": 1,
    "--ctexpire": 1,
    "--ctdir": 1,
    ...Object.fromEntries(Object.keys({ ...CONNTRACK_ADDRESSES, ...CONNTRACK_PORTS }).map((name) => [name, 1])),
  },
  (options, family) => {
    const byName = optionsByName(options);
    if (byName === undefined) return undefined;
    const match: ConntrackFields = { kind: "conntrack" };
    for (const [name, field] of Object.entries(CONNTRACK_ADDRESSES)) {
      const option = byName[name];
      if (option === undefined) continue;
      const cidr = readNetwork(option.values[0] ?? "", family);
      if (cidr === undefined) return undefined;
      match[field] = { negated: option.negated, cidr };
    }
    for (const [name, field] of Object.entries(CONNTRACK_PORTS)) {
      const option = byName[name];
      const range = negatable(option, readPortRange);
      if (option !== undefined && range === undefined) return undefined;
      if (range !== undefined) match[field] = range;
    }
    return readConntrackRest(byName, match);
  },
);

function negatable(
  option: ParsedOption | undefined,
  read: (text: string) => Pick<NegatableRange, "from" | "to"> | undefined,
): NegatableRange | undefined {
  const range = option && read(option.values[0] ?? "");
  return range && { ...range, negated: option.negated };
}

function readConntrackRest(
  byName: Readonly<Partial<Record<string, ParsedOption>>>,
  match: ConntrackFields,
): Match | undefined {
  const {
    "--ctstate": states,
    "--ctproto": proto,
    "--ctstatus": statuses,
    "--ctexpire": expire,
    "--ctdir": dir,
  } = byName;
  if (states !== undefined)
    match.states = { negated: states.negated, states: readNames(states.values[0] ?? "", CONNTRACK_STATES) };
  if (statuses !== undefined)
    match.status = { negated: statuses.negated, statuses: readNames(statuses.values[0] ?? "", CONNTRACK_STATUSES) };
  if (proto !== undefined) {
    const protocol = protocolName(proto.values[0] ?? "");
    if (protocol === undefined) return undefined;
    match.protocol = { negated: proto.negated, protocol };
  }
  if (expire !== undefined) {
    const range = negatable(expire, (text) => readNumberRange(text));
    if (range === undefined) return undefined;
    match.expire = range;
  }
  if (dir !== undefined) {
    const direction = dir.values[0]?.toUpperCase();
    if (dir.negated || (direction !== "ORIGINAL" && direction !== "REPLY")) return undefined;
    match.direction = direction;
  }
  return match;
}

/** A `--probability` is a share of 2^31 in the kernel. */
const PROBABILITY_ONE = 2 ** 31;

export const STATISTIC_SYNTAX = extensionSyntax<Match>(
  { "--mode": 1, "--probability": 1, "--every": 1, "--packet": 1 },
  (options) => {
    const byName = optionsByName(options);
    if (byName === undefined) return undefined;
    const { "--mode": mode, "--probability": probability, "--every": every, "--packet": packet } = byName;
    if (mode?.values[0] === "random" && every === undefined && packet === undefined) {
      const text = probability?.values[0] ?? "";
      const share = /^(\d+\.?\d*|\.\d+)(e-?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
      if (probability === undefined || !(share <= 1)) return undefined;
      const threshold = thresholdOf(share);
      return { kind: "statistic", mode: "random", negated: probability.negated, threshold, text };
    }
    const count = readNumber(every?.values[0] ?? "");
    const first = packet === undefined ? 0 : readNumber(packet.values[0] ?? "");
    if (mode?.values[0] !== "nth" || probability !== undefined || every === undefined) return undefined;
    if (count === undefined || count === 0 || first === undefined) return undefined;
    return { kind: "statistic", mode: "nth", negated: every.negated, every: count, packet: first };
  },
);

/** What libxt_statistic makes of a `--probability`: `lround(0x80000000 * share)`. */
function thresholdOf(share: number): number {
  return Math.round(PROBABILITY_ONE * share);
}

const RECENT_ACTIONS = { "--set": "set", "--rcheck": "rcheck", "--update": "update", "--remove": "remove" } as const;

export const RECENT_SYNTAX = extensionSyntax<Match>(
  {
    ...{ "--set": 0, "--rcheck": 0, "--update": 0, "--remove": 0, "--reap": 0, "--rttl": 0 },
    ...{ "--seconds": 1, "--hitcount": 1, "--name": 1, "--rsource": 0, "--rdest": 0, "--mask": 1 },
  },
  (options, family) => {
    const byName = optionsByName(options);
    const actions = Object.entries(RECENT_ACTIONS).filter(([name]) => byName?.[name] !== undefined);
    const [first] = actions;
    if (byName === undefined || first === undefined || actions.length > 1) return undefined;
    const { "--seconds": secondsOption, "--hitcount": hitsOption, "--mask": maskOption } = byName;
    const seconds = secondsOption && readNumber(secondsOption.values[0] ?? "");
    const hitCount = hitsOption && readNumber(hitsOption.values[0] ?? "");
    const mask = maskOption && readNetwork(maskOption.values[0] ?? "", family)?.address;
    if ((secondsOption && seconds === undefined) || (hitsOption && hitCount === undefined)) return undefined;
    if (maskOption && mask === undefined) return undefined;
    return {
      kind: "recent",
      negated: byName[first[0]]?.negated ?? false,
      action: first[1],
      name: byName["--name"]?.values[0] ?? "DEFAULT",
      ...(seconds === undefined ? {} : { seconds }),
      ...(hitCount === undefined ? {} : { hitCount }),
      ...(byName["--reap"] === undefined ? {} : { reap: true }),
      ...(byName["--rttl"] === undefined ? {} : { rttl: true }),
      side: byName["--rdest"] === undefined ? "source" : "destination",
      ...(mask === undefined ? {} : { mask }),
    };
  },
);

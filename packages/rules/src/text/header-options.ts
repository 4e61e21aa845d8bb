import { type Family, visible } from "@svcproxy/topology";
import type { Match } from "../match.ts";
import type { Target } from "../target.ts";
import { readNetwork } from "./option-values.ts";
import { protocolName } from "./protocol-names.ts";
import { RuleFault } from "./rule-fault.ts";

/** What stays the same while one text is read; equal parts of its rules become one value. */
export interface RuleContext {
  readonly family: Family;
  /** Chains of the rule's table as far as they are known: their names win over extensions of the same name. */
  readonly chains?: Pick<ReadonlySet<string>, "has">;
  readonly headerMatches: Map<string, Map<string, Match | undefined>>;
  readonly matches: Map<string, Match>;
  readonly targets: Map<string, Target>;
}

export function ruleContext(family: Family, chains?: RuleContext["chains"]): RuleContext {
  return {
    family,
    ...(chains === undefined ? {} : { chains }),
    headerMatches: new Map(),
    matches: new Map(),
    targets: new Map(),
  };
}

/** The options of a rule that belong to no extension, by every spelling. */
export const HEADER_OPTIONS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "-s": ["--source", "--src"],
    "-d": ["--destination", "--dst"],
    "-i": ["--in-interface"],
    "-o": ["--out-interface"],
    "-p": ["--protocol", "--proto"],
    "-f": ["--fragment", "--fragments"],
    "-m": ["--match"],
    "-j": ["--jump"],
    "-g": ["--goto"],
    "-c": ["--set-counters"],
    "-4": ["--ipv4"],
    "-6": ["--ipv6"],
  }).flatMap(([name, others]) => [name, ...others].map((spelling) => [spelling, name] as const)),
);

export interface HeaderOption {
  /** The short spelling. */
  readonly option: string;
  readonly value: string;
  readonly negated: boolean;
}

/**
 * @returns undefined where it matches every packet (`-p all`)
 * @throws RuleFault
 */
export function readHeaderMatch(header: HeaderOption, context: RuleContext): Match | undefined {
  const cache = headerCache(header, context);
  const cached = cache.get(header.value);
  if (cached !== undefined) return cached;
  const match = readUncached(header, context);
  cache.set(header.value, match);
  return match;
}

function headerCache(
  { option, negated }: HeaderOption,
  { headerMatches }: RuleContext,
): Map<string, Match | undefined> {
  const key = negated ? `!${option}` : option;
  let cache = headerMatches.get(key);
  if (cache === undefined) {
    cache = new Map();
    headerMatches.set(key, cache);
  }
  return cache;
}

function readUncached({ option, value, negated }: HeaderOption, { family }: RuleContext): Match | undefined {
  switch (option) {
    case "-s":
    case "-d": {
      const cidr = readNetwork(value, family);
      if (cidr === undefined)
        return { kind: "unknown", module: undefined, words: negated ? ["!", option, value] : [option, value] };
      return { kind: option === "-s" ? "source" : "destination", negated, cidr };
    }
    case "-p": {
      const protocol = protocolName(value);
      if (protocol === undefined && negated) throw new RuleFault("a rule for no protocol at all never matches");
      return protocol === undefined ? undefined : { kind: "protocol", negated, protocol };
    }
    case "-i":
    case "-o":
      if (value.length > 15)
        throw new RuleFault(`interface name ${JSON.stringify(visible(value))} is longer than 15 characters`);
      return { kind: option === "-i" ? "inInterface" : "outInterface", negated, name: value };
    default:
      throw new RuleFault(`unexpected option ${option}`);
  }
}

import type { Target, ZoneChoice } from "../target.ts";
import type { ExtensionSyntax, ParsedOption } from "./extension-syntax.ts";
import { extensionSyntax, optionsByName, optionWords } from "./extension-syntax.ts";
import { readTos } from "./more-matches.ts";
import { readNetwork, readNumber } from "./option-values.ts";

/** Targets that change something of the packet beside what NAT and marks are, or how conntrack sees it. */

export type TargetSyntax = ExtensionSyntax<Target>;

/** The option `name` alone decides; others would be a mistake. */
export function plainOptions(options: readonly ParsedOption[]): ReturnType<typeof optionsByName> {
  return options.some((option) => option.negated) ? undefined : optionsByName(options);
}

/** Options are kept word for word: they change what is written about a packet, not its way. */
export function wordSyntax(
  optionCounts: Readonly<Record<string, number>>,
  target: (words: readonly string[]) => Target,
): TargetSyntax {
  return extensionSyntax<Target>(optionCounts, (options) => target(options.flatMap(optionWords)));
}

export const CT = wordSyntax(
  {
    ...{ "--notrack": 0, "--helper": 1, "--timeout": 1, "--ctevents": 1, "--expevents": 1 },
    ...{ "--zone": 1, "--zone-orig": 1, "--zone-reply": 1 },
  },
  (words) => {
    const zone = readZone(words);
    return { kind: "ct", notrack: words.includes("--notrack"), ...(zone === undefined ? {} : { zone }), words };
  },
);

const ZONE_DIRECTIONS = { "--zone": "both", "--zone-orig": "original", "--zone-reply": "reply" } as const;

/** Of several the last counts, as iptables keeps one. */
function readZone(words: readonly string[]): ZoneChoice | undefined {
  let choice: ZoneChoice | undefined;
  for (const [option, direction] of Object.entries(ZONE_DIRECTIONS)) {
    const text = words[words.indexOf(option) + 1] ?? "";
    if (!words.includes(option)) continue;
    const zone = text === "mark" ? text : readNumber(text, 0xffff);
    if (zone !== undefined) choice = { zone, direction };
  }
  return choice;
}

export const NETMAP = extensionSyntax<Target>({ "--to": 1 }, (options, family) => {
  const to = readNetwork(plainOptions(options)?.["--to"]?.values[0] ?? "", family);
  return to && { kind: "netmap", to };
});

/** The set is the first word behind each of these. */
const SET_CHANGES = { "--add-set": 2, "--del-set": 2, "--map-set": 2 };

export const SET = extensionSyntax<Target>(
  {
    ...SET_CHANGES,
    ...{ "--exist": 0, "--timeout": 1, "--map-mark": 0, "--map-prio": 0, "--map-queue": 0 },
  },
  (options) => {
    if (options.some(({ isKnown }) => !isKnown)) return undefined;
    const isChange = ({ name }: ParsedOption) => name === "--add-set" || name === "--del-set";
    return {
      kind: "set",
      names: options.filter(isChange).flatMap(({ values }) => values.slice(0, 1)),
      mapsMark: options.some(({ name }) => name === "--map-mark"),
      words: options.flatMap(optionWords),
    };
  },
);

export const TOS = extensionSyntax<Target>(
  { "--set-tos": 1, "--and-tos": 1, "--or-tos": 1, "--xor-tos": 1 },
  (options): Target | undefined => {
    const [option] = options;
    const tos = readTos(option?.values[0] ?? "");
    if (option === undefined || plainOptions(options) === undefined || options.length > 1 || tos === undefined)
      return undefined;
    const { value, mask } = tos;
    if (option.name === "--set-tos") return { kind: "tos", value, mask };
    if (mask !== 0xff) return undefined;
    if (option.name === "--and-tos") return { kind: "tos", value: 0, mask: ~value & 0xff };
    return { kind: "tos", value, mask: option.name === "--or-tos" ? value : 0 };
  },
);

export const DSCP = extensionSyntax<Target>({ "--set-dscp": 1 }, (options) => {
  const value = readNumber(plainOptions(options)?.["--set-dscp"]?.values[0] ?? "", 0x3f);
  return value === undefined ? undefined : { kind: "dscp", value };
});

export function ttlSyntax(prefix: "--ttl" | "--hl"): TargetSyntax {
  return extensionSyntax<Target>({ [`${prefix}-set`]: 1, [`${prefix}-inc`]: 1, [`${prefix}-dec`]: 1 }, (options) => {
    const [option] = options;
    const value = readNumber(option?.values[0] ?? "", 255);
    const change = (["set", "inc", "dec"] as const).find((name) => option?.name === `${prefix}-${name}`);
    if (plainOptions(options) === undefined || options.length !== 1 || value === undefined) return undefined;
    return change && { kind: "ttl", change, value };
  });
}

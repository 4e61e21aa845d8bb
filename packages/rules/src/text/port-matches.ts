import type { Match, NegatableRange } from "../match.ts";
import type { ParsedOption } from "./extension-syntax.ts";
import { extensionSyntax, optionsByName } from "./extension-syntax.ts";
import { readNumber, readPortRange } from "./option-values.ts";
import { RuleFault } from "./rule-fault.ts";

const PORT_ALIASES = { "--source-port": "--sport", "--destination-port": "--dport" };

interface PortFields {
  readonly sourcePorts?: NegatableRange;
  readonly destinationPorts?: NegatableRange;
}

function readPorts(option: ParsedOption | undefined): NegatableRange | "absent" | undefined {
  if (option === undefined) return "absent";
  const range = readPortRange(option.values[0] ?? "");
  return range === undefined ? undefined : { ...range, negated: option.negated };
}

/** `--sport` and `--dport` of tcp, udp and sctp. */
function readPortFields(byName: Readonly<Partial<Record<string, ParsedOption>>>): PortFields | undefined {
  const sourcePorts = readPorts(byName["--sport"]);
  const destinationPorts = readPorts(byName["--dport"]);
  if (sourcePorts === undefined || destinationPorts === undefined) return undefined;
  return {
    ...(sourcePorts === "absent" ? {} : { sourcePorts }),
    ...(destinationPorts === "absent" ? {} : { destinationPorts }),
  };
}

/** The order in which iptables prints them. */
const TCP_FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];

/** @throws RuleFault for a flag that TCP does not have */
function readFlags(text: string): readonly string[] {
  const names = text.toUpperCase().split(",");
  const unknown = names.find((name) => name !== "ALL" && name !== "NONE" && !TCP_FLAGS.includes(name));
  if (unknown !== undefined) throw new RuleFault(`${JSON.stringify(unknown)} is not a TCP flag`);
  return names.includes("ALL") ? TCP_FLAGS : TCP_FLAGS.filter((flag) => names.includes(flag));
}

export const TCP_SYNTAX = extensionSyntax<Match>(
  { "--sport": 1, "--dport": 1, "--tcp-flags": 2, "--syn": 0, "--tcp-option": 1 },
  (options) => {
    const byName = optionsByName(options);
    const ports = byName && readPortFields(byName);
    if (byName === undefined || ports === undefined) return undefined;
    const { "--tcp-flags": flags, "--syn": syn, "--tcp-option": option } = byName;
    if (flags !== undefined && syn !== undefined) return undefined;
    const number = option === undefined ? 0 : readNumber(option.values[0] ?? "", 255);
    if (number === undefined) return undefined;
    const flagWords = syn === undefined ? (flags?.values ?? []) : ["SYN,RST,ACK,FIN", "SYN"];
    return {
      kind: "tcp",
      ...ports,
      ...(flags === undefined && syn === undefined
        ? {}
        : {
            flags: {
              negated: (flags ?? syn)?.negated ?? false,
              mask: readFlags(flagWords[0] ?? ""),
              set: readFlags(flagWords[1] ?? ""),
            },
          }),
      ...(option === undefined ? {} : { option: { negated: option.negated, number } }),
    };
  },
  PORT_ALIASES,
);

export const UDP_SYNTAX = extensionSyntax<Match>(
  { "--sport": 1, "--dport": 1 },
  (options) => {
    const byName = optionsByName(options);
    const ports = byName && readPortFields(byName);
    return ports && { kind: "udp", ...ports };
  },
  PORT_ALIASES,
);

export const SCTP_SYNTAX = extensionSyntax<Match>(
  { "--sport": 1, "--dport": 1, "--chunk-types": 2 },
  (options) => {
    const byName = optionsByName(options);
    const ports = byName && readPortFields(byName);
    if (ports === undefined) return undefined;
    const chunks = byName?.["--chunk-types"];
    return {
      kind: "sctp",
      ...ports,
      ...(chunks === undefined ? {} : { chunkTypes: { negated: chunks.negated, words: chunks.values } }),
    };
  },
  PORT_ALIASES,
);

const MULTIPORT_DIRECTIONS = { "--sports": "source", "--dports": "destination", "--ports": "either" } as const;

export const MULTIPORT_SYNTAX = extensionSyntax<Match>(
  { "--sports": 1, "--dports": 1, "--ports": 1 },
  (options) => {
    const [option] = options;
    if (option === undefined || options.length > 1 || !option.isKnown) return undefined;
    const ports = (option.values[0] ?? "").split(",").map((text) => readPortRange(text));
    const known = ports.filter((range) => range !== undefined);
    if (known.length < ports.length) return undefined;
    for (const [name, direction] of Object.entries(MULTIPORT_DIRECTIONS)) {
      if (name === option.name) return { kind: "multiport", negated: option.negated, direction, ports: known };
    }
    return undefined;
  },
  { "--source-ports": "--sports", "--destination-ports": "--dports", "--port": "--ports" },
);

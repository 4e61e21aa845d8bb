import type { Family } from "@svcproxy/topology";
import { addressBits, familyOf, parseIpAddress } from "@svcproxy/topology";
import type { NatRange, Target } from "../target.ts";
import type { ParsedOption } from "./extension-syntax.ts";
import { extensionSyntax } from "./extension-syntax.ts";
import { ALL_BITS, readMasked, readNatTarget, readNumber, readPortChoice } from "./option-values.ts";
import {
  CT,
  DSCP,
  NETMAP,
  plainOptions,
  SET,
  type TargetSyntax,
  TOS,
  ttlSyntax,
  wordSyntax,
} from "./packet-targets.ts";
import { RuleFault } from "./rule-fault.ts";

/** No option at all. */
function bare(target: Target): TargetSyntax {
  return extensionSyntax<Target>({}, (options) => (options.length === 0 ? target : undefined));
}

function natSyntax(kind: "dnat" | "snat", toOption: string): TargetSyntax {
  return extensionSyntax<Target>(
    { [toOption]: 1, "--random": 0, "--random-fully": 0, "--persistent": 0 },
    (options, family) => {
      const byName = plainOptions(options);
      const to = byName?.[toOption];
      const range = to && readNatTarget(to.values[0] ?? "");
      if (byName === undefined || range === undefined) return undefined;
      checkFamily(range, family);
      const target: NatRange = {
        ...range,
        random: byName["--random"] !== undefined,
        randomFully: byName["--random-fully"] !== undefined,
        persistent: byName["--persistent"] !== undefined,
      };
      return { kind, to: target };
    },
  );
}

function checkFamily({ addresses }: Pick<NatRange, "addresses">, family: Family): void {
  if (addresses !== undefined && familyOf(addresses.from) !== family)
    throw new RuleFault(`${JSON.stringify(addresses.from)} is not an IPv${family} address`);
}

const MASQUERADE = extensionSyntax<Target>({ "--to-ports": 1, "--random": 0, "--random-fully": 0 }, (options) => {
  const byName = plainOptions(options);
  if (byName === undefined) return undefined;
  const ports = byName["--to-ports"] && readPortChoice(byName["--to-ports"].values[0] ?? "");
  if (byName["--to-ports"] !== undefined && ports === undefined) return undefined;
  return {
    kind: "masquerade",
    ...(ports === undefined ? {} : { ports }),
    random: byName["--random"] !== undefined,
    randomFully: byName["--random-fully"] !== undefined,
  };
});

const REDIRECT = extensionSyntax<Target>({ "--to-ports": 1, "--random": 0 }, (options) => {
  const byName = plainOptions(options);
  if (byName === undefined) return undefined;
  const ports = byName["--to-ports"] && readPortChoice(byName["--to-ports"].values[0] ?? "");
  if (byName["--to-ports"] !== undefined && ports === undefined) return undefined;
  return { kind: "redirect", ...(ports === undefined ? {} : { ports }), random: byName["--random"] !== undefined };
});

const MARK_OPTIONS = { "--set-xmark": 1, "--set-mark": 1, "--and-mark": 1, "--or-mark": 1, "--xor-mark": 1 };

/** `(mark & ~mask) ^ value` for each of the five ways to say it. */
function readMarkChange(option: ParsedOption): { value: number; mask: number } | undefined {
  const masked = readMasked(option.values[0] ?? "");
  if (masked === undefined) return undefined;
  const { value, mask } = masked;
  switch (option.name) {
    case "--set-mark":
      return { value, mask: (value | mask) >>> 0 };
    case "--set-xmark":
      return { value, mask };
    case "--and-mark":
      return mask === ALL_BITS ? { value: 0, mask: ~value >>> 0 } : undefined;
    case "--or-mark":
      return mask === ALL_BITS ? { value, mask: value } : undefined;
    case "--xor-mark":
      return mask === ALL_BITS ? { value, mask: 0 } : undefined;
    default:
      return undefined;
  }
}

const MARK = extensionSyntax<Target>(MARK_OPTIONS, (options) => {
  const [option] = options;
  const change = option && plainOptions(options) && options.length === 1 ? readMarkChange(option) : undefined;
  return change && { kind: "mark", ...change };
});

const CONNMARK = extensionSyntax<Target>(
  { ...MARK_OPTIONS, "--save-mark": 0, "--restore-mark": 0, "--nfmask": 1, "--ctmask": 1, "--mask": 1 },
  (options) => {
    const byName = plainOptions(options);
    const action = byName?.["--save-mark"] ?? byName?.["--restore-mark"];
    if (byName === undefined) return undefined;
    if (action === undefined) {
      const [option] = options;
      const change = option && options.length === 1 ? readMarkChange(option) : undefined;
      return change && { kind: "connmark", action: "set", ...change };
    }
    if (byName["--save-mark"] !== undefined && byName["--restore-mark"] !== undefined) return undefined;
    const { "--mask": both, "--nfmask": packet = both, "--ctmask": connection = both, ...rest } = byName;
    const packetMask = packet === undefined ? ALL_BITS : readNumber(packet.values[0] ?? "");
    const connectionMask = connection === undefined ? ALL_BITS : readNumber(connection.values[0] ?? "");
    if (Object.keys(rest).length !== 1 || packetMask === undefined || connectionMask === undefined) return undefined;
    return { kind: "connmark", action: action.name === "--save-mark" ? "save" : "restore", packetMask, connectionMask };
  },
);

/** iptables prints the first name of each line and takes the others too. */
const REJECT_NAMES: Readonly<Record<Family, readonly (readonly string[])[]>> = {
  4: [
    ["icmp-net-unreachable", "net-unreach"],
    ["icmp-host-unreachable", "host-unreach"],
    ["icmp-proto-unreachable", "proto-unreach"],
    ["icmp-port-unreachable", "port-unreach"],
    ["icmp-net-prohibited", "net-prohib"],
    ["icmp-host-prohibited", "host-prohib"],
    ["tcp-reset", "tcp-rst"],
    ["icmp-admin-prohibited", "admin-prohib"],
  ],
  6: [
    ["icmp6-no-route", "no-route"],
    ["icmp6-adm-prohibited", "adm-prohibited"],
    ["icmp6-addr-unreachable", "addr-unreach"],
    ["icmp6-port-unreachable", "port-unreach"],
    ["tcp-reset"],
    ["icmp6-policy-fail", "policy-fail"],
    ["icmp6-reject-route", "reject-route"],
  ],
};

const REJECT = extensionSyntax<Target>({ "--reject-with": 1 }, (options, family) => {
  const byName = plainOptions(options);
  if (byName === undefined) return undefined;
  const text = byName["--reject-with"]?.values[0] ?? (family === 4 ? "port-unreach" : "icmp6-port-unreachable");
  const names = REJECT_NAMES[family].find((line) => line.some((name) => name === text || isPrefix(text, name)));
  return names?.[0] === undefined ? undefined : { kind: "reject", with: names[0] };
});

/** iptables takes any beginning of a name. */
function isPrefix(text: string, name: string): boolean {
  return text !== "" && name.startsWith(text);
}

const TPROXY = extensionSyntax<Target>({ "--on-port": 1, "--on-ip": 1, "--tproxy-mark": 1 }, (options) => {
  const byName = plainOptions(options);
  const port = readNumber(byName?.["--on-port"]?.values[0] ?? "", 65535);
  const masked = byName?.["--tproxy-mark"]
    ? readMasked(byName["--tproxy-mark"].values[0] ?? "")
    : { value: 0, mask: 0 };
  const address = byName?.["--on-ip"] && parseIpAddress(byName["--on-ip"].values[0] ?? "");
  if (byName === undefined || port === undefined || masked === undefined) return undefined;
  if (byName["--on-ip"] !== undefined && address === undefined) return undefined;
  const isGiven = address !== undefined && addressBits(address) !== 0n;
  return { kind: "tproxy", ...(isGiven ? { address } : {}), port, ...masked };
});

/** Targets whose options are understood. */
export const TARGET_SYNTAX: ReadonlyMap<string, TargetSyntax> = new Map([
  ["ACCEPT", bare({ kind: "accept" })],
  ["DROP", bare({ kind: "drop" })],
  ["RETURN", bare({ kind: "return" })],
  ["TRACE", bare({ kind: "trace" })],
  ["NOTRACK", bare({ kind: "ct", notrack: true, words: [] })],
  ["DNAT", natSyntax("dnat", "--to-destination")],
  ["SNAT", natSyntax("snat", "--to-source")],
  ["MASQUERADE", MASQUERADE],
  ["REDIRECT", REDIRECT],
  ["MARK", MARK],
  ["CONNMARK", CONNMARK],
  ["REJECT", REJECT],
  [
    "LOG",
    wordSyntax(
      {
        ...{ "--log-level": 1, "--log-prefix": 1, "--log-tcp-sequence": 0, "--log-tcp-options": 0 },
        ...{ "--log-ip-options": 0, "--log-uid": 0, "--log-macdecode": 0 },
      },
      (words) => ({ kind: "log", words }),
    ),
  ],
  [
    "NFLOG",
    wordSyntax(
      {
        ...{ "--nflog-group": 1, "--nflog-range": 1, "--nflog-size": 1, "--nflog-threshold": 1 },
        ...{ "--nflog-prefix": 1 },
      },
      (words) => ({ kind: "nflog", words }),
    ),
  ],
  ["TCPMSS", wordSyntax({ "--set-mss": 1, "--clamp-mss-to-pmtu": 0 }, (words) => ({ kind: "tcpmss", words }))],
  ["CHECKSUM", wordSyntax({ "--checksum-fill": 0 }, (words) => ({ kind: "checksum", words }))],
  ["CT", CT],
  ["TPROXY", TPROXY],
  ["NETMAP", NETMAP],
  ["SET", SET],
  ["TOS", TOS],
  ["DSCP", DSCP],
  ["TTL", ttlSyntax("--ttl")],
  ["HL", ttlSyntax("--hl")],
]);

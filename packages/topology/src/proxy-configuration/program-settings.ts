import { formatSocketAddress, parseIpAddress, parsePort } from "../address.ts";
import type { Field } from "../kubernetes/field.ts";
import { quote } from "../visible.ts";

/** What a KubeProxyConfiguration says to a program that follows a cluster, beside the settings of the data path. */
export interface ProgramSettings {
  readonly kubeconfig?: string;
  readonly hostnameOverride?: string;
  /** `address:port`. */
  readonly healthzBindAddress?: string;
  readonly metricsBindAddress?: string;
  /** Whether a port that another program holds ends the start. */
  readonly bindAddressHardFail: boolean;
  readonly conntrack: ConntrackSettings;
  /** At least so long from the end of one change of the rules to the next. */
  readonly minSyncSeconds?: number;
  /** Of this process: the lower, the later the kernel takes it when memory runs out. */
  readonly oomScoreAdj?: number;
}

/** Limits of the kernel's connection tracking; absent: kube-proxy's default. Times in seconds, 0: as it is. */
export interface ConntrackSettings {
  /** Connections for each core; 0: as it is. */
  readonly maxPerCore?: number;
  readonly min?: number;
  readonly tcpEstablishedSeconds?: number;
  readonly tcpCloseWaitSeconds?: number;
  readonly udpSeconds?: number;
  readonly udpStreamSeconds?: number;
  /** Packets out of window are not taken for invalid. */
  readonly tcpBeLiberal: boolean;
}

/** Keys that such a program uses, beside those of the data path. */
export const PROGRAM_KEYS: ReadonlySet<string> = new Set([
  ...["clientConnection.kubeconfig", "hostnameOverride", "healthzBindAddress", "metricsBindAddress"],
  ...["bindAddressHardFail", "oomScoreAdj", "featureGates"],
  ...["conntrack.maxPerCore", "conntrack.min", "conntrack.tcpEstablishedTimeout", "conntrack.tcpCloseWaitTimeout"],
  ...["conntrack.tcpBeLiberal", "conntrack.udpTimeout", "conntrack.udpStreamTimeout"],
  ...["iptables.minSyncPeriod", "nftables.minSyncPeriod"],
]);

/** @param section the settings of the mode */
export function readProgramSettings(root: Field, section: Field): ProgramSettings {
  const texts = (path: readonly string[], key: "kubeconfig" | "hostnameOverride") => {
    const text = root
      .at(...path)
      .text()
      ?.trim();
    return text ? { [key]: text } : {};
  };
  const healthzBindAddress = readBindAddress(root.get("healthzBindAddress"), 10256);
  const metricsBindAddress = readBindAddress(root.get("metricsBindAddress"), 10249);
  const minSyncSeconds = readGoDuration(section.get("minSyncPeriod"));
  const oomScoreAdj = readNumber(root.get("oomScoreAdj"), { from: -1000, to: 1000 });
  return {
    ...texts(["clientConnection", "kubeconfig"], "kubeconfig"),
    ...texts(["hostnameOverride"], "hostnameOverride"),
    ...(healthzBindAddress === undefined ? {} : { healthzBindAddress }),
    ...(metricsBindAddress === undefined ? {} : { metricsBindAddress }),
    bindAddressHardFail: root.get("bindAddressHardFail").flag() ?? false,
    conntrack: readConntrack(root.get("conntrack")),
    ...(minSyncSeconds === undefined ? {} : { minSyncSeconds }),
    ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
  };
}

/** Fields by the settings that they are read into. */
const FIELD_OF: Readonly<Record<keyof ProgramSettings, string>> = {
  kubeconfig: "clientConnection.kubeconfig",
  hostnameOverride: "hostnameOverride",
  healthzBindAddress: "healthzBindAddress",
  metricsBindAddress: "metricsBindAddress",
  bindAddressHardFail: "bindAddressHardFail",
  conntrack: "conntrack",
  minSyncSeconds: "minSyncPeriod",
  oomScoreAdj: "oomScoreAdj",
};

/** Names of the fields, or their sections, in which two differ. */
export function changedProgramFields(before: ProgramSettings, after: ProgramSettings): readonly string[] {
  const text = (settings: ProgramSettings, key: string) =>
    JSON.stringify(Object.entries(settings).find(([name]) => name === key));
  return Object.entries(FIELD_OF).flatMap(([key, field]) => (text(before, key) === text(after, key) ? [] : [field]));
}

/**
 * An address with a port, or one alone, which gets the usual port.
 *
 * @see kubernetes pkg/proxy/util/utils.go, AppendPortIfNeeded
 */
function readBindAddress(field: Field, usualPort: number): string | undefined {
  const text = field.text()?.trim();
  if (!text) return undefined;
  const address = parseIpAddress(text);
  const port = parsePort(usualPort);
  if (address !== undefined && port !== undefined) return formatSocketAddress({ address, port });
  const [, host = ""] = /^(.*):\d{1,5}$/.exec(text) ?? [];
  const isHost = text.startsWith(":") || parseIpAddress(host.replace(/^\[(.*)\]$/, "$1")) !== undefined;
  if (isHost && Number(text.slice(text.lastIndexOf(":") + 1)) <= 65_535) return text;
  field.error("BAD_ADDRESS", `${quote(text)} is not an address with a port`, `Write it like 127.0.0.1:${usualPort}`);
  return undefined;
}

/** As many connections as the kernel's own table may hold. */
const MAX_CONNECTIONS = 2 ** 31 - 1;

function readConntrack(section: Field): ConntrackSettings {
  const count = (key: string, name: "maxPerCore" | "min") => {
    const number = readNumber(section.get(key), { from: 0, to: MAX_CONNECTIONS });
    return number === undefined ? {} : { [name]: number };
  };
  const seconds = (key: string, name: keyof ConntrackSettings) => {
    const duration = readGoDuration(section.get(key));
    return duration === undefined ? {} : { [name]: Math.floor(duration) };
  };
  return {
    ...count("maxPerCore", "maxPerCore"),
    ...count("min", "min"),
    ...seconds("tcpEstablishedTimeout", "tcpEstablishedSeconds"),
    ...seconds("tcpCloseWaitTimeout", "tcpCloseWaitSeconds"),
    ...seconds("udpTimeout", "udpSeconds"),
    ...seconds("udpStreamTimeout", "udpStreamSeconds"),
    tcpBeLiberal: section.get("tcpBeLiberal").flag() ?? false,
  };
}

function readNumber(field: Field, { from, to }: { readonly from: number; readonly to: number }): number | undefined {
  const number = field.integer();
  if (number === undefined || (number >= from && number <= to)) return number;
  field.error("NUMBER_OUT_OF_RANGE", `${number} is not in ${from}–${to}`);
  return undefined;
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, µs: 1e-6, ns: 1e-9 };

/** A duration as Go writes it: `1h0m0s`. @returns seconds */
function readGoDuration(field: Field): number | undefined {
  const text = field.text();
  if (text === undefined || text === "") return undefined;
  if (text === "0") return 0;
  if (!/^(\d+(\.\d+)?(h|ms|m|s|us|µs|ns))+$/.test(text)) {
    field.error("BAD_VALUE", `${JSON.stringify(text)} is not a duration`, "Write it like 1h30m, 90s or 500ms");
    return undefined;
  }
  return [...text.matchAll(/([\d.]+)(h|ms|m|s|us|µs|ns)/g)].reduce(
    (total, [, number, unit = ""]) => total + Number(number) * (UNIT_SECONDS[unit] ?? 0),
    0,
  );
}

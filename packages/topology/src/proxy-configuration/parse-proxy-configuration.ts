import { type Cidr, cidrOf, familyOf, formatCidr, parseIpAddress } from "../address.ts";
import type { Fault } from "../errors.ts";
import { explainAddress } from "../explain-address.ts";
import { judgeInterfaceName } from "../interface-name.ts";
import { Field, parseSloppyCidr } from "../kubernetes/field.ts";
import { readCidr } from "../kubernetes/read-nodes.ts";
import { DEFAULT_NODE_SETTINGS, type DetectLocal, type NodeSettings } from "../model.ts";
import { nearestWord } from "../nearest-word.ts";
import { SubjectPath } from "../subject-path.ts";
import { FaultReport } from "../text/fault-report.ts";
import { finishReading } from "../text/finish-reading.ts";
import { loadInput } from "../text/load-documents.ts";
import { type InputFile, isMapping } from "../text/source-document.ts";
import { singleAddress, ValueReader } from "../value-reader.ts";
import { quote } from "../visible.ts";
import { readGates, warnOfGates } from "./feature-gates.ts";
import { PROGRAM_KEYS, type ProgramSettings, readProgramSettings } from "./program-settings.ts";
import { unpackConfigMap } from "./proxy-config-map.ts";
import { CONFIGURATION_KEYS, USED_KEYS } from "./proxy-configuration-keys.ts";

/** Which of kube-proxy's data paths a configuration is for; here it chooses defaults only. */
export type ProxyMode = "iptables" | "nftables" | "ipvs";

export interface ParsedProxyConfiguration {
  readonly mode: ProxyMode;
  /** What the file sets. */
  readonly settings: Partial<NodeSettings>;
  /** What it says to a program that follows a cluster. */
  readonly program: ProgramSettings;
  /** Feature gates that it sets. */
  readonly gates: ReadonlyMap<string, boolean>;
  readonly warnings: readonly Fault[];
}

const KIND = "KubeProxyConfiguration";
const API_VERSION = "kubeproxy.config.k8s.io/v1alpha1";

/**
 * Reads the settings of the data path from a KubeProxyConfiguration, or from the ConfigMap that holds one, as `kubectl get` prints it;
 * what else it says is accepted, and named in one warning.
 *
 * @param options.followsCluster whether the program uses what it says of how a cluster is followed, too
 * @param options.readsCluster whether it uses what it says of how a cluster is reached, and nothing more of that
 * @param options.asIfMode the mode that it is read for, where that may be another one than it says
 * @throws InputError with every fault
 */
export function parseProxyConfiguration(
  input: InputFile,
  {
    followsCluster = false,
    readsCluster = false,
    asIfMode,
  }: { readonly followsCluster?: boolean; readonly readsCluster?: boolean; readonly asIfMode?: ProxyMode } = {},
): ParsedProxyConfiguration {
  const loaded = unpackConfigMap(loadInput([input], { emptyHint: `Give a file of \`kind: ${KIND}\`` }), KIND);
  const report = new FaultReport();
  const { documents } = loaded;
  const document = documents.find(({ value }) => isMapping(value) && value["kind"] === KIND) ?? documents[0];
  if (document === undefined) throw new TypeError("there is no document to read");
  const reader = new ValueReader(document, report);
  const root = Field.root(document.value, { where: SubjectPath.root("the configuration"), reader });
  const kind = root.get("kind");
  const version = root.get("apiVersion");
  if (kind.text() !== KIND) {
    kind.error("UNKNOWN_VALUE", `this is not a ${KIND}`, `Give a file of kind ${KIND}, apiVersion ${API_VERSION}`);
  } else if (version.text() !== API_VERSION) {
    version.error(
      "UNKNOWN_VALUE",
      `${JSON.stringify(version.value ?? "")} is not supported`,
      `Supported: ${API_VERSION}`,
    );
  }
  const mode = asIfMode ?? readMode(root.get("mode"), { followsCluster });
  const settings = readSettings(root, mode);
  const program = readProgramSettings(root, root.get(sectionOf(mode)));
  if (kind.text() === KIND) warnOfTheRest(root, { mode, followsCluster, readsCluster });
  const gates = readGates(root.get("featureGates"));
  return { mode, settings, program, gates, warnings: finishReading(report, loaded.faults) };
}

function readMode(field: Field, { followsCluster }: { readonly followsCluster: boolean }): ProxyMode {
  // What a file says in vain is no reason to read the rest otherwise.
  const mode = field.word(["iptables", "nftables", "ipvs"]) ?? "iptables";
  if (mode === "ipvs") {
    const reason = "there is no IPVS data path here; its defaults hold, and another data path carries them out";
    const hint = followsCluster
      ? "Choose it with --data-path, or leave the choice to svcproxy"
      : "Choose the data path by the command: svcproxy iptables, nftables or userspace";
    field.warning("NO_EFFECT", reason, hint);
  }
  return mode;
}

function readSettings(root: Field, mode: ProxyMode): Partial<NodeSettings> {
  const section = root.get(sectionOf(mode));
  const masqueradeBit = readMasqueradeBit(section.get("masqueradeBit"));
  const masqueradeAll = section.get("masqueradeAll").flag();
  // In its other modes kube-proxy never serves NodePorts on localhost.
  const localhostNodePorts = mode === "iptables" ? section.get("localhostNodePorts").flag() : undefined;
  const clusterCIDRs = readClusterCIDRs(root.get("clusterCIDR"));
  const detectLocal = readDetectLocal(root, { hasClusterCIDR: clusterCIDRs.length > 0 });
  return {
    ...(detectLocal === undefined ? {} : { detectLocal }),
    ...(clusterCIDRs.length === 0 ? {} : { clusterCIDRs }),
    ...(masqueradeAll === undefined ? {} : { masqueradeAll }),
    ...(masqueradeBit === undefined ? {} : { masqueradeBit }),
    ...(localhostNodePorts === undefined ? {} : { localhostNodePorts }),
    ...readNodePortAddresses(root.get("nodePortAddresses")),
  };
}

/** The nftables mode has these settings in a section of its own; every other mode takes those of iptables. */
function sectionOf(mode: ProxyMode): "nftables" | "iptables" {
  return mode === "nftables" ? "nftables" : "iptables";
}

function readMasqueradeBit(field: Field): number | undefined {
  const bit = field.integer();
  if (bit === undefined || (bit >= 0 && bit <= 31)) return bit;
  field.error("NUMBER_OUT_OF_RANGE", `${bit} is not in 0–31`);
  return undefined;
}

/** One block, or one a family joined by a comma. */
function readClusterCIDRs(field: Field): readonly Cidr[] {
  const text = field.text() ?? "";
  if (text === "") return [];
  const cidrs = text.split(",").flatMap((part) => {
    const read = parseSloppyCidr(part.trim());
    if (read === undefined) {
      field.error("BAD_CIDR", `${quote(part)} is not a block of addresses`, explainAddress(part.trim(), "cidr"));
    } else if (read.isSloppy) field.warning("SLOPPY_ADDRESS", `${quote(part)} is read as ${formatCidr(read.cidr)}`);
    return read?.cidr ?? [];
  });
  if (new Set(cidrs.map(({ address }) => familyOf(address))).size < cidrs.length) {
    field.error("FAMILY_TWICE", "there can be one block a family");
  }
  return cidrs;
}

function readDetectLocal(root: Field, { hasClusterCIDR }: { hasClusterCIDR: boolean }): DetectLocal | undefined {
  const field = root.get("detectLocalMode");
  const mode = field.word(["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"]);
  const setting = (key: string, kind: "name" | "prefix"): string | undefined => {
    const written = root.at("detectLocal", key);
    const text = written.text();
    if (text === undefined || text === "") {
      field.error("MISSING_KEY", `${mode} needs detectLocal.${key}`);
      return undefined;
    }
    const finding = judgeInterfaceName(text, kind);
    if (finding === undefined) return text;
    written.error("BAD_NAME", `${quote(text)}: ${finding.reason}`, finding.hint);
    return undefined;
  };
  switch (mode) {
    case undefined:
      return undefined;
    case "ClusterCIDR":
      if (!hasClusterCIDR) field.warning("NO_EFFECT", "without clusterCIDR no pod is told from other clients");
      return { mode };
    case "NodeCIDR":
      return { mode };
    case "BridgeInterface": {
      const bridgeInterface = setting("bridgeInterface", "name");
      return bridgeInterface === undefined ? undefined : { mode, bridgeInterface };
    }
    case "InterfaceNamePrefix": {
      const interfaceNamePrefix = setting("interfaceNamePrefix", "prefix");
      return interfaceNamePrefix === undefined ? undefined : { mode, interfaceNamePrefix };
    }
  }
}

/** Blocks, addresses and the words that kube-proxy has for some. */
function readNodePortAddresses(
  field: Field,
): Partial<Pick<NodeSettings, "nodePortAddresses" | "nodePortsOnPrimaryAddress">> {
  const items = field.items();
  if (items.length === 0) return {};
  const nodePortAddresses = items.flatMap((item) => {
    const text = item.text() ?? "";
    const meant = BLOCKS_OF_WORD[text];
    if (meant !== undefined) return meant;
    const address = parseIpAddress(text);
    return (address === undefined ? readCidr(item) : singleAddress(address)) ?? [];
  });
  return { nodePortAddresses, nodePortsOnPrimaryAddress: items.some((item) => item.text() === "primary") };
}

function blocks(...texts: readonly (readonly [address: string, prefixLength: number])[]): readonly Cidr[] {
  return texts.flatMap(([text, prefixLength]) => {
    const address = parseIpAddress(text);
    return address === undefined ? [] : [cidrOf(address, prefixLength)];
  });
}

/** @see kubernetes staging/src/k8s.io/kube-proxy/config/v1alpha1/types.go, NodePortAddresses */
const BLOCKS_OF_WORD: Readonly<Record<string, readonly Cidr[]>> = {
  primary: [],
  all: blocks(["0.0.0.0", 0], ["::", 0]),
  localhost: blocks(["127.0.0.0", 8], ["::1", 128]),
};

/**
 * kube-proxy's own settings, where its configuration sets none.
 *
 * @see kubernetes pkg/proxy/apis/config/v1alpha1/defaults.go; cmd/kube-proxy/app/server_linux.go, platformApplyDefaults
 */
export function kubeProxyDefaults(mode: ProxyMode): NodeSettings {
  return {
    ...DEFAULT_NODE_SETTINGS,
    detectLocal: { mode: "ClusterCIDR" },
    localhostNodePorts: mode === "iptables",
    nodePortsOnPrimaryAddress: mode === "nftables",
  };
}

/** Names in one sentence what the file sets and svcproxy has no use for, and each key that kube-proxy does not know either. */
function warnOfTheRest(
  root: Field,
  {
    mode,
    followsCluster,
    readsCluster,
  }: { readonly mode: ProxyMode; readonly followsCluster: boolean; readonly readsCluster: boolean },
): void {
  const { value } = root;
  if (!isMapping(value)) return;
  const reached = readsCluster ? ["clientConnection.kubeconfig"] : [];
  const own: ReadonlySet<string> = new Set([...USED_KEYS[""], ...USED_KEYS[mode], ...reached]);
  const isUsed = (key: string) => own.has(key) || (followsCluster && PROGRAM_KEYS.has(key));
  const unused = Object.keys(value).flatMap((key): readonly string[] => {
    if (!CONFIGURATION_KEYS.has(key)) warnOfUnknown(root.get(key), { key, known: CONFIGURATION_KEYS.keys() });
    const parts = CONFIGURATION_KEYS.get(key) ?? [];
    const part = value[key];
    if (!isMapping(part) || parts.length === 0) {
      return isUsed(key) || !CONFIGURATION_KEYS.has(key) || isZero(part) ? [] : [key];
    }
    for (const inner of Object.keys(part)) {
      if (!parts.includes(inner)) warnOfUnknown(root.at(key, inner), { key: inner, known: parts });
    }
    const rest = parts.filter((inner) => !isUsed(`${key}.${inner}`) && !isZero(part[inner]));
    // One word for a section of which nothing is used.
    return parts.some((inner) => isUsed(`${key}.${inner}`))
      ? rest.map((inner) => `${key}.${inner}`)
      : rest.length > 0
        ? [key]
        : [];
  });
  if (followsCluster) warnOfGates(root.get("featureGates"));
  if (unused.length > 0) root.warning("NO_EFFECT", `no effect here: ${unused.join(", ")}`);
}

function warnOfUnknown(field: Field, { key, known }: { readonly key: string; readonly known: Iterable<string> }): void {
  const meant = nearestWord(key, known);
  const hint = meant === undefined ? undefined : `Did you mean \`${meant}\`?`;
  field.warnOfKey("UNKNOWN_KEY", `kube-proxy has no such key, so it has no effect`, hint);
}

/** What a configuration that was dumped whole has everywhere: null, empty, zero, or nothing but such. */
function isZero(value: unknown): boolean {
  if (isMapping(value)) return Object.values(value).every(isZero);
  if (Array.isArray(value)) return value.length === 0;
  return (
    value === null ||
    value === undefined ||
    value === "" ||
    value === 0 ||
    value === false ||
    value === "0s" ||
    value === "0"
  );
}

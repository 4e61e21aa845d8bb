import type { Cidr } from "./address.ts";
import { familyOf, formatCidr, parseIpAddress } from "./address.ts";
import type { Fault } from "./errors.ts";
import { explainAddress } from "./explain-address.ts";
import { FaultReport } from "./fault-report.ts";
import { finishReading } from "./finish-reading.ts";
import { judgeInterfaceName } from "./interface-name.ts";
import { isMapping } from "./is-mapping.ts";
import { Field } from "./kubernetes/field.ts";
import { readCidr } from "./kubernetes/read-nodes.ts";
import { parseSloppyCidr } from "./kubernetes/sloppy-address.ts";
import { loadInput } from "./load-input.ts";
import type { DetectLocal, NodeSettings } from "./model.ts";
import { quote } from "./quote.ts";
import type { InputFile } from "./source-document.ts";
import { Spot } from "./spot.ts";
import { singleAddress, ValueReader } from "./value-reader.ts";

export interface ParsedProxyConfiguration {
  /** Only what the file sets. */
  readonly settings: Partial<NodeSettings>;
  readonly warnings: readonly Fault[];
}

const KIND = "KubeProxyConfiguration";
const API_VERSION = "kubeproxy.config.k8s.io/v1alpha1";

/**
 * Reads the settings of the data path from a KubeProxyConfiguration; what else it says is accepted, and named in one warning.
 *
 * @throws InputError with every fault
 */
export function parseProxyConfiguration(input: InputFile): ParsedProxyConfiguration {
  const { documents, faults } = loadInput([input]);
  const report = new FaultReport();
  const document = documents.find(({ value }) => isMapping(value) && value["kind"] === KIND) ?? documents[0];
  if (document === undefined) throw new TypeError("there is no document to read");
  const reader = new ValueReader(document, report);
  const root = Field.root(document.value, { spot: Spot.root("the configuration"), reader });
  const kind = root.get("kind");
  const version = root.get("apiVersion");
  if (kind.text() !== KIND) {
    kind.error("UNKNOWN_VALUE", `this is no ${KIND}`, `Give a file of kind ${KIND}, apiVersion ${API_VERSION}`);
  } else if (version.text() !== API_VERSION) {
    version.error(
      "UNKNOWN_VALUE",
      `${JSON.stringify(version.value ?? "")} is not supported`,
      `Supported: ${API_VERSION}`,
    );
  }
  const settings = readSettings(root);
  warnOfTheRest(root);
  return { settings, warnings: finishReading(report, faults) };
}

function readSettings(root: Field): Partial<NodeSettings> {
  // The nftables mode has these settings in a section of its own; every other mode takes those of iptables.
  const section = root.get(sectionOf(root));
  const masqueradeBit = readMasqueradeBit(section.get("masqueradeBit"));
  const masqueradeAll = section.get("masqueradeAll").flag();
  // Of iptables alone: kube-proxy's nftables mode has no NodePorts on localhost.
  const localhostNodePorts = section.get("localhostNodePorts").flag();
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

function sectionOf(root: Field): "nftables" | "iptables" {
  return root.get("mode").text() === "nftables" ? "nftables" : "iptables";
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
      field.error("BAD_CIDR", `${quote(part)} is no block of addresses`, explainAddress(part.trim(), "cidr"));
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

function readNodePortAddresses(
  field: Field,
): Partial<Pick<NodeSettings, "nodePortAddresses" | "nodePortsOnPrimaryAddress">> {
  const items = field.items();
  if (items.length === 0) return {};
  if (items.length === 1 && items[0]?.text() === "primary") {
    return { nodePortAddresses: [], nodePortsOnPrimaryAddress: true };
  }
  const nodePortAddresses = items.flatMap((item) => {
    const address = parseIpAddress(item.text() ?? "");
    return (address === undefined ? readCidr(item) : singleAddress(address)) ?? [];
  });
  return { nodePortAddresses, nodePortsOnPrimaryAddress: false };
}

const USED = new Set(["apiVersion", "kind", "clusterCIDR", "detectLocal", "detectLocalMode", "nodePortAddresses"]);
const USED_IN_SECTION = new Set(["masqueradeAll", "masqueradeBit", "localhostNodePorts"]);

/** Names in one sentence what the file sets and svcproxy has no use for. */
function warnOfTheRest(root: Field): void {
  const { value } = root;
  if (!isMapping(value)) return;
  const section = sectionOf(root);
  const unused = Object.keys(value).flatMap((key): readonly string[] => {
    if (USED.has(key) || isZero(value[key]) || (key === "mode" && section === "nftables")) return [];
    const part = value[key];
    if (key !== section || !isMapping(part)) return [key];
    const rest = Object.keys(part).filter((inner) => !USED_IN_SECTION.has(inner) && !isZero(part[inner]));
    return rest.map((inner) => `${section}.${inner}`);
  });
  if (unused.length > 0) root.warning("NO_EFFECT", `no effect here: ${unused.join(", ")}`);
}

/** What a configuration that was dumped whole has everywhere: null, empty, zero, or nothing but such. */
function isZero(value: unknown): boolean {
  if (isMapping(value)) return Object.values(value).every(isZero);
  if (Array.isArray(value)) return value.length === 0;
  return value === null || value === undefined || value === "" || value === 0 || value === false || value === "0s";
}

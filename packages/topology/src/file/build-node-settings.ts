import { type Cidr, parseIpAddress } from "../address.ts";
import { judgeInterfaceName } from "../interface-name.ts";
import { type DetectLocal, MAX_AFFINITY_TABLE_SIZE, type NodeSettings } from "../model.ts";
import type { SubjectPath } from "../subject-path.ts";
import { type Found, singleAddress, type ValueReader } from "../value-reader.ts";
import { quote } from "../visible.ts";
import { readServiceCIDRs } from "./check-service-cidrs.ts";
import { mapItems, type RawNode } from "./raw-topology.ts";

/** What the `node:` block sets. */
export function buildNodeSettings(
  raw: RawNode,
  { reader, where, directory, services }: Parameters<typeof readServiceCIDRs>[1],
): Partial<NodeSettings> {
  const detectLocal = readDetectLocal(raw, { reader, where });
  const nodePorts = readNodePortAddresses(raw, { reader, where });
  const masqueradeBit =
    raw.masqueradeBit === undefined
      ? undefined
      : reader.number(raw.masqueradeBit, where.at("masqueradeBit"), { key: "masqueradeBit", from: 0, to: 31 });
  const affinityTableSize =
    raw.affinityTableSize === undefined
      ? undefined
      : reader.number(raw.affinityTableSize, where.at("affinityTableSize"), {
          key: "affinityTableSize",
          from: 1,
          to: MAX_AFFINITY_TABLE_SIZE,
        });
  if (raw.canarySeconds !== undefined)
    reader.number(raw.canarySeconds, where.at("canarySeconds"), { key: "canarySeconds", from: 0, to: 86_400 });
  warnOfUnknownCanaries(raw, { reader, where, directory });
  return {
    ...(detectLocal === undefined ? {} : { detectLocal }),
    ...(raw.clusterCIDR === undefined ? {} : { clusterCIDRs: readClusterCIDRs(raw, { reader, where }) }),
    ...nodePorts,
    ...(masqueradeBit === undefined ? {} : { masqueradeBit }),
    ...(raw.masqueradeAll === undefined ? {} : { masqueradeAll: raw.masqueradeAll }),
    ...(raw.localhostNodePorts === undefined ? {} : { localhostNodePorts: raw.localhostNodePorts }),
    ...readServiceCIDRs(raw, { reader, where, directory, services }),
    ...(affinityTableSize === undefined ? {} : { affinityTableSize }),
  };
}

/** They concern who follows a store, not the data path: nothing of them is in the settings. */
function warnOfUnknownCanaries(
  { canaryHosts }: RawNode,
  { reader, where, directory }: NodeContext & Pick<Parameters<typeof readServiceCIDRs>[1], "directory">,
): void {
  const names = new Set(directory.hosts.map(({ name }) => name));
  canaryHosts?.forEach((name, index) => {
    if (name === undefined || names.has(name)) return;
    const reason = `canaryHosts has ${quote(name)}, and no host of that name is listed`;
    reader.warning("UNKNOWN_VALUE", where.at("canaryHosts").at(index), reason);
  });
}

interface NodeContext {
  readonly reader: ValueReader;
  readonly where: SubjectPath;
}

function readDetectLocal(raw: RawNode, { reader, where }: NodeContext): DetectLocal | undefined {
  const { bridgeInterface, interfaceNamePrefix } = raw.detectLocal ?? {};
  const isName = (text: string, key: string, kind: "name" | "prefix"): boolean => {
    const finding = judgeInterfaceName(text, kind);
    if (finding === undefined) return true;
    const at = where.at("detectLocal").at(key);
    reader.error("BAD_NAME", at, `${key} ${quote(text)}: ${finding.reason}`, finding.hint);
    return false;
  };
  switch (raw.detectLocalMode) {
    case undefined:
      return undefined;
    case "ClusterCIDR":
      if (raw.clusterCIDR === undefined) {
        reader.error("MISSING_KEY", where.at("detectLocalMode"), "detectLocalMode ClusterCIDR needs `clusterCIDR`");
      }
      return { mode: "ClusterCIDR" };
    case "NodeCIDR":
      return { mode: "NodeCIDR" };
    case "BridgeInterface":
      if (bridgeInterface !== undefined) {
        return isName(bridgeInterface, "bridgeInterface", "name")
          ? { mode: "BridgeInterface", bridgeInterface }
          : undefined;
      }
      reader.error("MISSING_KEY", where.at("detectLocalMode"), "BridgeInterface needs `detectLocal.bridgeInterface`");
      return undefined;
    case "InterfaceNamePrefix":
      if (interfaceNamePrefix !== undefined) {
        return isName(interfaceNamePrefix, "interfaceNamePrefix", "prefix")
          ? { mode: "InterfaceNamePrefix", interfaceNamePrefix }
          : undefined;
      }
      reader.error(
        "MISSING_KEY",
        where.at("detectLocalMode"),
        "InterfaceNamePrefix needs `detectLocal.interfaceNamePrefix`",
      );
      return undefined;
  }
}

/** One block, or one a family joined by a comma. */
function readClusterCIDRs({ clusterCIDR = "" }: RawNode, { reader, where }: NodeContext): readonly Cidr[] {
  if (clusterCIDR.trim() === "") return [];
  const found = clusterCIDR.split(",").flatMap((text): Found<Cidr>[] => {
    const cidr = reader.cidr(text.trim(), where.at("clusterCIDR"));
    return cidr === undefined ? [] : [{ value: cidr, where: where.at("clusterCIDR") }];
  });
  return reader.onePerFamily(found, ({ address }) => address, "clusterCIDR").map(({ value }) => value);
}

/** `primary` alone means the host's main address of each family. */
function readNodePortAddresses(
  raw: RawNode,
  { reader, where }: NodeContext,
): Partial<Pick<NodeSettings, "nodePortAddresses" | "nodePortsOnPrimaryAddress">> {
  const listed = raw.nodePortAddresses;
  if (listed === undefined) return {};
  if (listed.length === 1 && listed[0] === "primary") return { nodePortAddresses: [], nodePortsOnPrimaryAddress: true };
  const nodePortAddresses = mapItems(listed, (text, index) => {
    const address = parseIpAddress(text);
    return address === undefined ? reader.cidr(text, where.at("nodePortAddresses").at(index)) : singleAddress(address);
  });
  return { nodePortAddresses, nodePortsOnPrimaryAddress: false };
}

import type { Cidr } from "./address.ts";
import { parseIpAddress } from "./address.ts";
import type { Path } from "./fault-report.ts";
import type { DetectLocal, NodeSettings } from "./model.ts";
import { DEFAULT_NODE_SETTINGS } from "./model.ts";
import type { RawNode } from "./raw-topology.ts";
import { entriesOf } from "./raw-topology.ts";
import type { Found, Spot, ValueReader } from "./value-reader.ts";
import { singleAddress } from "./value-reader.ts";

/** Reads the `node:` block; KubeProxyConfiguration comes in the same form. */
export function buildNodeSettings(raw: RawNode, { reader, path }: { reader: ValueReader; path: Path }): NodeSettings {
  const at =
    (...rest: Path): Spot =>
    () => ({ subject: "the node settings", path: [...path, ...rest] });
  const detectLocal = readDetectLocal(raw, { reader, at });
  const nodePorts = readNodePortAddresses(raw, { reader, at });
  const masqueradeBit =
    raw.masqueradeBit === undefined
      ? undefined
      : reader.number(raw.masqueradeBit, at("masqueradeBit"), { key: "masqueradeBit", from: 0, to: 31 });
  return {
    ...DEFAULT_NODE_SETTINGS,
    ...(detectLocal === undefined ? {} : { detectLocal }),
    clusterCIDRs: readClusterCIDRs(raw, { reader, at }),
    ...nodePorts,
    ...(masqueradeBit === undefined ? {} : { masqueradeBit }),
    masqueradeAll: raw.masqueradeAll ?? DEFAULT_NODE_SETTINGS.masqueradeAll,
    localhostNodePorts: raw.localhostNodePorts ?? DEFAULT_NODE_SETTINGS.localhostNodePorts,
  };
}

interface NodeContext {
  readonly reader: ValueReader;
  readonly at: (...rest: Path) => Spot;
}

function readDetectLocal(raw: RawNode, { reader, at }: NodeContext): DetectLocal | undefined {
  const { bridgeInterface, interfaceNamePrefix } = raw.detectLocal ?? {};
  switch (raw.detectLocalMode) {
    case undefined:
      return undefined;
    case "ClusterCIDR":
      if (raw.clusterCIDR === undefined) {
        reader.error("MISSING_KEY", at("detectLocalMode"), "detectLocalMode ClusterCIDR needs `clusterCIDR`");
      }
      return { mode: "ClusterCIDR" };
    case "NodeCIDR":
      return { mode: "NodeCIDR" };
    case "BridgeInterface":
      if (bridgeInterface !== undefined) return { mode: "BridgeInterface", bridgeInterface };
      reader.error("MISSING_KEY", at("detectLocalMode"), "BridgeInterface needs `detectLocal.bridgeInterface`");
      return undefined;
    case "InterfaceNamePrefix":
      if (interfaceNamePrefix !== undefined) return { mode: "InterfaceNamePrefix", interfaceNamePrefix };
      reader.error("MISSING_KEY", at("detectLocalMode"), "InterfaceNamePrefix needs `detectLocal.interfaceNamePrefix`");
      return undefined;
  }
}

/** One block, or one a family joined by a comma. */
function readClusterCIDRs({ clusterCIDR = "" }: RawNode, { reader, at }: NodeContext): readonly Cidr[] {
  if (clusterCIDR.trim() === "") return [];
  const found = clusterCIDR.split(",").flatMap((text): Found<Cidr>[] => {
    const spot = at("clusterCIDR");
    const cidr = reader.cidr(text.trim(), spot);
    return cidr === undefined ? [] : [{ value: cidr, spot }];
  });
  return reader.onePerFamily(found, ({ address }) => address, "clusterCIDR");
}

/** `primary` alone means the host's main address of each family. */
function readNodePortAddresses(
  raw: RawNode,
  { reader, at }: NodeContext,
): Pick<NodeSettings, "nodePortAddresses" | "nodePortsOnPrimaryAddress"> {
  const listed = entriesOf(raw.nodePortAddresses);
  const [first] = listed;
  if (listed.length === 1 && first?.[1] === "primary")
    return { nodePortAddresses: [], nodePortsOnPrimaryAddress: true };
  const nodePortAddresses = listed.flatMap(([index, text]) => {
    const address = parseIpAddress(text);
    return address === undefined ? (reader.cidr(text, at("nodePortAddresses", index)) ?? []) : singleAddress(address);
  });
  return { nodePortAddresses, nodePortsOnPrimaryAddress: false };
}
